// Waiting for a condition, with a limit: machines that run tests are busy, so the limit is generous, and what
// was found last stands in the error.

const LIMIT_MILLISECONDS = 30_000;
const INTERVAL_MILLISECONDS = 50;

/** Calls `probe` until it returns without throwing; gives its value back. */
export async function eventually(what, probe) {
  const end = Date.now() + LIMIT_MILLISECONDS;
  for (;;) {
    try {
      return await probe();
    } catch (error) {
      if (Date.now() > end) throw new Error(`${what}: not within ${LIMIT_MILLISECONDS / 1000} s`, { cause: error });
    }
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MILLISECONDS));
  }
}

module silverback.dev/e2e/bare-client

go 1.22

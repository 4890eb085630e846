package main

// The shared libraries of a program, so that an image holds just these: what
// its ELF headers name, found as the dynamic loader's cache finds it.

import (
	"debug/elf"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// sharedLibraries lists the loader and all libraries, by their paths here.
// A static program has none.
func sharedLibraries(program string) ([]string, error) {
	f, err := elf.Open(program)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	defer f.Close()
	var found []string
	for _, segment := range f.Progs {
		if segment.Type == elf.PT_INTERP {
			b, err := io.ReadAll(segment.Open())
			if err != nil {
				return nil, err
			}
			found = append(found, strings.TrimRight(string(b), "\x00"))
		}
	}
	cache, err := loaderCache()
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var add func(path string, f *elf.File) error
	add = func(path string, f *elf.File) error {
		names, err := f.ImportedLibraries()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, name := range names {
			if seen[name] {
				continue
			}
			seen[name] = true
			at, ok := cache[name]
			if !ok {
				return fmt.Errorf("%s needs %s, which ldconfig -p does not list", path, name)
			}
			library, err := elf.Open(at)
			if err != nil {
				return fmt.Errorf("%s: %w", at, err)
			}
			found = append(found, at)
			err = add(at, library)
			library.Close()
			if err != nil {
				return err
			}
		}
		return nil
	}
	return found, add(program, f)
}

// loaderCache gives the path of each library of this machine's own architecture.
func loaderCache() (map[string]string, error) {
	ldconfig := "ldconfig"
	if _, err := exec.LookPath(ldconfig); err != nil {
		ldconfig = "/sbin/ldconfig"
	}
	out, err := exec.Command(ldconfig, "-p").Output()
	if err != nil {
		return nil, fmt.Errorf("ldconfig -p: %w", err)
	}
	cache := map[string]string{}
	for line := range strings.Lines(string(out)) {
		// libc.so.6 (libc6,x86-64) => /lib/x86_64-linux-gnu/libc.so.6
		name, path, ok := strings.Cut(strings.TrimSpace(line), " => ")
		name, kind, _ := strings.Cut(name, " ")
		if _, known := cache[name]; ok && !known && (strings.Contains(kind, "x86-64") || strings.Contains(kind, "AArch64")) {
			cache[name] = path
		}
	}
	return cache, nil
}

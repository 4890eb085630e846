package main

// An OCI image layout in one tar file, from local files or a directory, without a daemon.

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

type imageSpec struct {
	Name       string            // full reference, e.g. localhost/app:v1
	Files      map[string]string // path in the image -> local file
	Links      map[string]string // path in the image -> what it points to
	Entrypoint []string
	Env        []string
	User       string
}

func commandImage(args []string) {
	flags := flag.NewFlagSet("image", flag.ExitOnError)
	name := flags.String("name", "", "image reference")
	out := flags.String("out", "", "tar file to write")
	user := flags.String("user", "", "user[:group] to run as")
	entry := flags.String("entrypoint", "", "entrypoint, words split at spaces (default: the first file)")
	root := flags.String("root", "", "directory that is the image's file system")
	libraries := flags.Bool("libraries", false, "add the shared libraries that the files need, and the loader")
	var env []string
	flags.Func("env", "K=V (repeatable)", func(s string) error { env = append(env, s); return nil })
	flags.Parse(args)
	if *name == "" || *out == "" || flags.NArg() == 0 && *root == "" {
		fatal("want --name, --out, and PATH=LOCAL or --root")
	}
	spec := imageSpec{Name: *name, Files: map[string]string{}, Links: map[string]string{}, Env: env, User: *user, Entrypoint: strings.Fields(*entry)}
	if *root != "" {
		check(spec.addTree(*root))
	}
	for _, a := range flags.Args() {
		in, local, ok := strings.Cut(a, "=")
		if !ok {
			fatal("want PATH=LOCAL, got %q", a)
		}
		in = path.Join("/", in)
		spec.Files[in] = local
		if len(spec.Entrypoint) == 0 {
			spec.Entrypoint = []string{in}
		}
		if *libraries {
			needed, err := sharedLibraries(local)
			check(err)
			for _, library := range needed {
				spec.Files[library] = library
			}
		}
	}
	check(os.MkdirAll(filepath.Dir(*out), 0o755))
	check(buildImage(spec, *out))
	fmt.Println(*out)
}

// addTree takes the files and symbolic links below a directory.
func (spec *imageSpec) addTree(root string) error {
	return filepath.WalkDir(root, func(local string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		in := "/" + filepath.ToSlash(strings.TrimPrefix(strings.TrimPrefix(local, root), "/"))
		if entry.Type()&fs.ModeSymlink != 0 {
			spec.Links[in], err = os.Readlink(local)
			return err
		}
		spec.Files[in] = local
		return nil
	})
}

func addFile(w *tar.Writer, name string, mode int64, content []byte) error {
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}

// layer gives the one layer of an image: the files, links, their directories and /tmp.
// The same files give the same bytes.
func layer(files, links map[string]string) ([]byte, error) {
	dirs := map[string]bool{"tmp": true}
	var names []string
	for _, paths := range []map[string]string{files, links} {
		for n := range paths {
			n = strings.TrimPrefix(n, "/")
			names = append(names, n)
			for d := path.Dir(n); d != "."; d = path.Dir(d) {
				dirs[d] = true
			}
		}
	}
	var sorted []string
	for d := range dirs {
		sorted = append(sorted, d)
	}
	slices.Sort(sorted)
	slices.Sort(names)
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, d := range sorted {
		mode := int64(0o755)
		if d == "tmp" {
			mode = 0o1777
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: d + "/", Mode: mode}); err != nil {
			return nil, err
		}
	}
	for _, n := range names {
		if target, ok := links["/"+n]; ok {
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: n, Linkname: target, Mode: 0o777}); err != nil {
				return nil, err
			}
			continue
		}
		local := files["/"+n]
		content, err := os.ReadFile(local)
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(local)
		if err != nil {
			return nil, err
		}
		if err := addFile(w, n, int64(info.Mode().Perm()), content); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), w.Close()
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// layout writes the parts of an OCI image layout and remembers the first error.
type layout struct {
	tar *tar.Writer
	err error
}

func (l *layout) file(name string, content []byte) {
	if l.err == nil {
		l.err = addFile(l.tar, name, 0o644, content)
	}
}

func (l *layout) blob(mediaType string, content []byte) descriptor {
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	l.file("blobs/sha256/"+digest, content)
	return descriptor{MediaType: mediaType, Digest: "sha256:" + digest, Size: len(content)}
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	check(err)
	return b
}

func buildImage(spec imageSpec, out string) error {
	files, err := layer(spec.Files, spec.Links)
	if err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	const vendor = "application/vnd.oci.image."
	l := layout{tar: tar.NewWriter(f)}
	content := l.blob(vendor+"layer.v1.tar", files)
	config := l.blob(vendor+"config.v1+json", encode(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": spec.Entrypoint, "Env": spec.Env, "User": spec.User},
		// Not compressed, so the diff id is the digest.
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{content.Digest}},
	}))
	manifest := l.blob(vendor+"manifest.v1+json", encode(map[string]any{
		"schemaVersion": 2, "mediaType": vendor + "manifest.v1+json", "config": config, "layers": []descriptor{content}}))
	manifest.Annotations = map[string]string{"io.containerd.image.name": spec.Name}
	l.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	l.file("index.json", encode(map[string]any{"schemaVersion": 2, "manifests": []descriptor{manifest}}))
	return errors.Join(l.err, l.tar.Close(), f.Close())
}

// Command oras does with the ORAS library what the program of that name does with it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/file"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

const usage = `oras version
oras push REF FILE...          files as an artifact
oras attach REF TYPE FILE      a file that refers to REF
oras discover REF              digests of what refers to REF, one a line
oras copy SRC DST              with all that refers to it
oras pull REF DIR
oras delete REF                the manifest

REF is HOST/REPOSITORY:TAG, or oci:DIR:TAG with copy. A login is ORAS_USERNAME and ORAS_PASSWORD.`

type graph interface {
	oras.GraphTarget
	content.Resolver
}

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 1 && args[0] == "version":
		fmt.Println("oras-go v2.6.4")
		return nil
	case len(args) >= 3 && args[0] == "push":
		return push(ctx, args[1], args[2:])
	case len(args) == 4 && args[0] == "attach":
		return attach(ctx, args[1], args[2], args[3])
	case len(args) == 2 && args[0] == "discover":
		return discover(ctx, args[1])
	case len(args) == 3 && args[0] == "copy":
		return copyAll(ctx, args[1], args[2])
	case len(args) == 3 && args[0] == "pull":
		return pull(ctx, args[1], args[2])
	case len(args) == 2 && args[0] == "delete":
		return remove(ctx, args[1])
	}
	return errors.New(usage)
}

func push(ctx context.Context, ref string, files []string) error {
	repository, tag, err := openRepository(ref)
	if err != nil {
		return err
	}
	return pack(ctx, repository, tag, "application/vnd.example.files.v1", files, nil)
}

func attach(ctx context.Context, ref, kind, path string) error {
	repository, tag, err := openRepository(ref)
	if err != nil {
		return err
	}
	subject, err := repository.Resolve(ctx, tag)
	if err != nil {
		return err
	}
	return pack(ctx, repository, "", kind, []string{path}, &subject)
}

func pack(ctx context.Context, repository *remote.Repository, tag, kind string, files []string, subject *ocispec.Descriptor) error {
	store, err := file.New("")
	if err != nil {
		return err
	}
	defer store.Close()
	var layers []ocispec.Descriptor
	for _, path := range files {
		absolute, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		layer, err := store.Add(ctx, filepath.Base(path), "application/vnd.example.file", absolute)
		if err != nil {
			return err
		}
		layers = append(layers, layer)
	}
	options := oras.PackManifestOptions{Layers: layers, Subject: subject}
	manifest, err := oras.PackManifest(ctx, store, oras.PackManifestVersion1_1, kind, options)
	if err != nil {
		return err
	}
	if tag == "" {
		err = oras.CopyGraph(ctx, store, repository, manifest, withoutSubject())
	} else {
		if err = store.Tag(ctx, manifest, tag); err == nil {
			_, err = oras.Copy(ctx, store, tag, repository, tag, oras.DefaultCopyOptions)
		}
	}
	if err == nil {
		fmt.Println(manifest.Digest)
	}
	return err
}

// The subject is at the target already, and not in the store of files.
func withoutSubject() oras.CopyGraphOptions {
	options := oras.DefaultCopyGraphOptions
	options.FindSuccessors = func(ctx context.Context, fetcher content.Fetcher, node ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		successors, err := content.Successors(ctx, fetcher, node)
		var kept []ocispec.Descriptor
		for _, each := range successors {
			if each.MediaType != ocispec.MediaTypeImageManifest && each.MediaType != ocispec.MediaTypeImageIndex {
				kept = append(kept, each)
			}
		}
		return kept, err
	}
	return options
}

func discover(ctx context.Context, ref string) error {
	repository, tag, err := openRepository(ref)
	if err != nil {
		return err
	}
	subject, err := repository.Resolve(ctx, tag)
	if err != nil {
		return err
	}
	return repository.Referrers(ctx, subject, "", func(referrers []ocispec.Descriptor) error {
		for _, each := range referrers {
			fmt.Println(each.Digest, each.ArtifactType)
		}
		return nil
	})
}

func copyAll(ctx context.Context, from, to string) error {
	source, sourceTag, err := open(from)
	if err != nil {
		return err
	}
	target, targetTag, err := open(to)
	if err != nil {
		return err
	}
	copied, err := oras.ExtendedCopy(ctx, source, sourceTag, target, targetTag, oras.DefaultExtendedCopyOptions)
	if err == nil {
		fmt.Println(copied.Digest)
	}
	return err
}

func pull(ctx context.Context, ref, folder string) error {
	repository, tag, err := openRepository(ref)
	if err != nil {
		return err
	}
	store, err := file.New(folder)
	if err != nil {
		return err
	}
	defer store.Close()
	_, err = oras.Copy(ctx, repository, tag, store, tag, oras.DefaultCopyOptions)
	return err
}

func remove(ctx context.Context, ref string) error {
	repository, tag, err := openRepository(ref)
	if err != nil {
		return err
	}
	found, err := repository.Resolve(ctx, tag)
	if err != nil {
		return err
	}
	return repository.Delete(ctx, found)
}

func open(ref string) (graph, string, error) {
	if rest, isLayout := strings.CutPrefix(ref, "oci:"); isLayout {
		colon := strings.LastIndex(rest, ":")
		if colon < 0 {
			return nil, "", fmt.Errorf("%s has no tag", ref)
		}
		store, err := oci.New(rest[:colon])
		return store, rest[colon+1:], err
	}
	return openRepository(ref)
}

func openRepository(ref string) (*remote.Repository, string, error) {
	parsed, err := registry.ParseReference(ref)
	if err != nil {
		return nil, "", err
	}
	repository, err := remote.NewRepository(parsed.Registry + "/" + parsed.Repository)
	if err != nil {
		return nil, "", err
	}
	repository.PlainHTTP = true
	if name := os.Getenv("ORAS_USERNAME"); name != "" {
		login := auth.Credential{Username: name, Password: os.Getenv("ORAS_PASSWORD")}
		client := &auth.Client{Credential: auth.StaticCredential(parsed.Registry, login)}
		repository.Client = client
	}
	return repository, parsed.Reference, nil
}

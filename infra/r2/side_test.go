package r2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/objects"
)

func dir(t *testing.T) *objects.Dir {
	t.Helper()
	d, err := objects.OpenDir(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func put(t *testing.T, o commands.Objects, key string, data []byte) {
	t.Helper()
	if err := o.Put(context.Background(), key, "image/png", bytes.NewReader(data), int64(len(data))); err != nil {
		t.Fatal(err)
	}
}

// equal checks the two digests.
func equal(t *testing.T, c *objects.Copy, want bool) {
	t.Helper()
	from, to, err := c.Digests(context.Background())
	if err != nil || (from == to) != want || len(from) != 64 {
		t.Errorf("digests %s and %s: %v", from, to, err)
	}
}

func TestCopyThereAndBack(t *testing.T) {
	both(t, func(t *testing.T, b *Bucket) {
		here, back := dir(t), dir(t)
		large := noise(2*PartSize + 3)
		put(t, here, "images/u/large.mp4", large)
		put(t, here, "empty", nil)
		for i := range 30 {
			put(t, here, fmt.Sprintf("snapshots/r/%d.json", i), fmt.Appendf(nil, "snapshot %d", i))
		}
		put(t, b, "only/there", []byte("x"))
		put(t, b, "snapshots/r/3.json", []byte("snapshot X")) // as long as what belongs there
		put(t, b, "snapshots/r/4.json", []byte("snapshot 4"))

		dry := objects.Copy{From: DirSide(here), To: b.Side(), DryRun: true}
		got, err := dry.Run(context.Background())
		if err != nil || got.Found.Objects != 32 || got.Same.Objects != 1 || got.Copied.Objects != 31 || got.OnlyThere.Objects != 1 {
			t.Fatalf("%+v %v", got, err)
		}
		again := objects.Copy{From: DirSide(here), To: b.Side()}
		equal(t, &again, false)
		there := objects.Copy{From: DirSide(here), To: b.Side()}
		if got, err = there.Run(context.Background()); err != nil || got.Copied.Objects != 31 || got.Copied.Bytes < int64(len(large)) {
			t.Fatalf("%+v %v", got, err)
		}
		put(t, here, "new", []byte("came after the copy began"))
		equal(t, &there, true)
		if err := here.Delete(context.Background(), "new"); err != nil {
			t.Fatal(err)
		}
		if got, err = again.Run(context.Background()); err != nil || got.Copied.Objects != 0 || got.Same.Objects != 32 {
			t.Errorf("a second time: %+v %v", got, err)
		}
		home := objects.Copy{From: b.Side(), To: DirSide(back)}
		if got, err = home.Run(context.Background()); err != nil || got.Copied.Objects != 33 {
			t.Fatalf("%+v %v", got, err)
		}
		equal(t, &home, true)
		body, o, err := back.Get(context.Background(), "images/u/large.mp4", 0, -1)
		if err != nil || o.ContentType != "image/png" {
			t.Fatalf("%+v %v", o, err)
		}
		if all, err := io.ReadAll(body); !bytes.Equal(all, large) || errors.Join(err, body.Close()) != nil {
			t.Errorf("%d bytes came home: %v", len(all), err)
		}
	})
}

// TestCopyGoesOn: stopped by its caller and by a store that dies, a copy goes on where it was.
func TestCopyGoesOn(t *testing.T) {
	b, server := open(t)
	here := dir(t)
	const n = 60
	for i := range n {
		put(t, here, fmt.Sprintf("images/u/%02d.png", i), fmt.Appendf(nil, "picture %d", i))
	}
	ctx, cancel := context.WithCancel(context.Background())
	first := objects.Copy{From: DirSide(here), To: b.Side(), Progress: func(c objects.Copied) {
		if c.Copied.Objects == 10 {
			cancel()
		}
	}}
	if got, err := first.Run(ctx); err == nil || got.Copied.Objects < 10 || got.Copied.Objects == n {
		t.Fatalf("stopped: %+v %v", got, err)
	}
	second := objects.Copy{From: DirSide(here), To: b.Side(), Progress: func(c objects.Copied) {
		if c.Copied.Objects == 10 {
			server.Stop()
		}
	}}
	got, err := second.Run(context.Background())
	if !errors.Is(err, commands.ErrObjectsDown) || got.Same.Objects < 10 || got.Found.Objects == n {
		t.Fatalf("the store died: %+v %v", got, err)
	}
	server.Start(t)
	b.down.Store(nil)
	third := objects.Copy{From: DirSide(here), To: b.Side()}
	if got, err = third.Run(context.Background()); err != nil || got.Same.Objects < 20 || got.Same.Objects+got.Copied.Objects != n {
		t.Fatalf("the rest: %+v %v", got, err)
	}
	equal(t, &third, true)
}

func TestCopyLeavesOutWhatIsDamaged(t *testing.T) {
	b, _ := open(t)
	root := t.TempDir()
	here, err := objects.OpenDir(root, nil)
	if err != nil {
		t.Fatal(err)
	}
	put(t, here, "a", []byte("good"))
	put(t, here, "b", []byte("damaged in a moment"))
	put(t, here, "c", []byte("good"))
	file := filepath.Join(root, "objects", "b.obj")
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, bytes.Replace(text, []byte("damaged"), []byte("DAMAGED"), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := objects.Copy{From: DirSide(here), To: b.Side()}
	got, err := c.Run(context.Background())
	if err == nil || !strings.Contains(err.Error(), "b") || got.Failed.Objects != 1 || got.Copied.Objects != 2 {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := b.Head(context.Background(), "b"); !errors.Is(err, commands.ErrNoObject) {
		t.Errorf("the damaged object was copied: %v", err)
	}
}

// TestCopyOfPartsOfAnotherSize: what others stored in parts of their own size is the same object.
func TestCopyOfPartsOfAnotherSize(t *testing.T) {
	b, _ := open(t)
	data := noise(11 << 20)
	ctx, key := context.Background(), "images/u/a.mp4"
	made, err := b.api.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &b.name, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	var done []types.CompletedPart
	for i, part := range [][]byte{data[:5<<20], data[5<<20 : 10<<20], data[10<<20:]} {
		out, err := b.api.UploadPart(ctx, &s3.UploadPartInput{Bucket: &b.name, Key: &key, UploadId: made.UploadId, PartNumber: aws.Int32(int32(i + 1)), Body: bytes.NewReader(part)})
		if err != nil {
			t.Fatal(err)
		}
		done = append(done, types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: out.ETag})
	}
	if _, err := b.api.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &b.name, Key: &key, UploadId: made.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: done}}); err != nil {
		t.Fatal(err)
	}
	here := dir(t)
	for i := range 2 {
		c := objects.Copy{From: b.Side(), To: DirSide(here)}
		if got, err := c.Run(ctx); err != nil || got.Copied.Objects != 1-i || got.Same.Objects != i {
			t.Fatalf("%+v %v", got, err)
		}
		equal(t, &c, true)
	}
}

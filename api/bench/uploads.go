package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/infinite-kanvas/kanvas/commands"
)

// partsAtOnce is how many parts of an upload are on their way at a time.
const partsAtOnce = 3

// cutFile is a file that lies on the disk once more in the parts that it is sent in, so that the kernel can send them by itself as it does for browsers.
type cutFile struct {
	name        string
	contentType string
	size        int
	parts       []string
}

// writeCut writes a file and its parts.
func writeCut(name, contentType string, data []byte) (*cutFile, error) {
	f := &cutFile{name: name, contentType: contentType, size: len(data)}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		return nil, err
	}
	each := len(data)
	if each > commands.MaxSinglePut {
		each = commands.UploadPartSize
	}
	for at := 0; at < len(data); at += each {
		part := fmt.Sprintf("%s.%d", name, len(f.parts))
		if err := os.WriteFile(part, data[at:min(at+each, len(data))], 0o600); err != nil {
			return nil, err
		}
		f.parts = append(f.parts, part)
	}
	return f, nil
}

// upload asks to send the file, sends it and completes it; it returns the asset's id.
func (f *cutFile) upload(ctx context.Context, addr, token string) (string, error) {
	var asked struct {
		Asset  struct{ ID string }
		Upload struct {
			URL     string
			Headers map[string]string
			Parts   []struct{ URL string }
		}
	}
	err := post(ctx, addr, "/v1/assets", token, map[string]any{"name": "bench", "content_type": f.contentType, "size": f.size}, &asked)
	if err != nil {
		return "", err
	}
	if asked.Upload.URL != "" {
		if _, err := putFile(ctx, asked.Upload.URL, f.parts[0], asked.Upload.Headers); err != nil {
			return "", err
		}
		return asked.Asset.ID, post(ctx, addr, "/v1/assets/"+asked.Asset.ID+"/complete", token, struct{}{}, nil)
	}
	type sent struct {
		Number int    `json:"number"`
		ETag   string `json:"etag"`
	}
	parts := make([]sent, len(f.parts))
	g, sending := errgroup.WithContext(ctx)
	g.SetLimit(partsAtOnce)
	for i, name := range f.parts {
		g.Go(func() (err error) {
			parts[i].Number = i + 1
			parts[i].ETag, err = putFile(sending, asked.Upload.Parts[i].URL, name, nil)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return "", err
	}
	return asked.Asset.ID, post(ctx, addr, "/v1/assets/"+asked.Asset.ID+"/complete", token, map[string]any{"parts": parts}, nil)
}

// putFile sends a file and returns its ETag.
func putFile(ctx context.Context, url, name string, headers map[string]string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, f) // closes it
	if err != nil {
		return "", err
	}
	req.ContentLength = info.Size()
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if said, err := io.ReadAll(io.LimitReader(res.Body, 1<<10)); err != nil || res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("PUT of %s: %s %s: %w", name, res.Status, said, err)
	}
	return res.Header.Get("ETag"), nil
}

// copyFile copies a file as the kernel does it best, with fsync.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Sync()
}

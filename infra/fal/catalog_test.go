package fal

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
)

func TestCatalogModels(t *testing.T) {
	c := Catalog{Models{"fal-ai", "bria"}}
	for name, want := range map[string]commands.Model{
		"fal-ai/flux-kontext-lora":                        {Result: commands.ResultImage},
		"fal-ai/bria/background/remove":                   {Result: commands.ResultImage},
		"fal-ai/evf-sam":                                  {Result: commands.ResultImage, MaskOf: "image_url"},
		"fal-ai/bytedance/seedance/v1/pro/image-to-video": {Result: commands.ResultVideo},
		"fal-ai/bytedance/seedance/v1/pro":                {Result: commands.ResultVideo},
		"fal-ai/ltx-video-13b-dev/extend":                 {Result: commands.ResultVideo},
		"fal-ai/stable-video-diffusion":                   {Result: commands.ResultVideo},
		"bria/video/background-removal":                   {Result: commands.ResultVideo},
		"fal-ai/ltx-video-13b-dev/multiconditioning":      {Result: commands.ResultVideo},
		"fal-ai/flux-kontext-lora/text-to-image":          {Result: commands.ResultImage},
	} {
		if got, ok := c.Model(name); !ok || got != want {
			t.Errorf("%s: %+v %v", name, got, ok)
		}
	}
	for _, name := range []string{"other/x", "", "fal-ai//x", "../fal-ai/x", "https://fal.run/x", "fal-ai/evf-sam/requests/1/status", "fal-ai/evf-sam/requests"} {
		if got, ok := c.Model(name); ok {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestCatalogFiles(t *testing.T) {
	for output, want := range map[string]string{
		`{"images":[{"url":"https://a","width":10,"height":20,"content_type":"image/png"},{"url":"https://b"}],"seed":7}`: "https://a 10x20 image/png,https://b 0x0  seed 7",
		`{"image":{"url":"https://a"},"mask_image":{"url":"https://m"}}`:                                                  "https://a 0x0  seed ",
		`{"video":{"url":"https://a","content_type":"video/mp4"},"seed":"18446744073709551615"}`:                          "https://a 0x0 video/mp4 seed 18446744073709551615",
		`{"video_url":"https://a","seed":1.5}`:                                                                            "https://a 0x0  seed ",
		`{"images":["https://a","https://b"]}`:                                                                            "https://a 0x0 ,https://b 0x0  seed ",
		`{"image":{"url":"data:image/png;base64,AA"},"seed":null}`:                                                        "data:image/png;base64,AA 0x0  seed ",
		`{"images":[],"image":null,"video":{"url":"https://v"}}`:                                                          "https://v 0x0  seed ",
		`{"images":[{"url":"https://a"},{"url":"https://b"}],"has_nsfw_concepts":[true,false]}`:                           "https://b 0x0  seed ",
		`{"images":[{"url":"https://a","width":1e300,"height":-1}],"seed":-3}`:                                            "https://a 0x0  seed -3",
		`{"output":[{"url":"https://a","content_type":"application/octet-stream"}]}`:                                      "https://a 0x0 application/octet-stream seed ",
	} {
		files, seed, err := Catalog{}.Files("x/y", json.RawMessage(output))
		got := ""
		for i, f := range files {
			if i > 0 {
				got += ","
			}
			got += fmt.Sprintf("%s %dx%d %s", f.URL, f.Width, f.Height, f.ContentType)
		}
		if got += " seed " + seed; err != nil || got != want {
			t.Errorf("%s: %q %v", output, got, err)
		}
	}
	for output, code := range map[string]string{
		`[]`: commands.FailedResult, `{}`: commands.FailedResult, `{"images":[]}`: commands.FailedResult, `{"image":{"url":"http://a"}}`: commands.FailedResult,
		`{"image":{"url":"https://a","content_type":"audio/mpeg"}}`: commands.FailedResult, `{"image":{"url":5}}`: commands.FailedResult, `x`: commands.FailedResult,
		`{"images":[[{"url":"https://a"}]]}`: commands.FailedResult, `{"images":[{"url":"https://a"}],"has_nsfw_concepts":[true]}`: commands.FailedContentPolicy,
	} {
		_, _, err := Catalog{}.Files("x/y", json.RawMessage(output))
		var f *commands.JobFailure
		if !errors.As(err, &f) || f.Code != code || !f.Billed {
			t.Errorf("%s: %v", output, err)
		}
	}
	var many []map[string]string
	for i := range 50 {
		many = append(many, map[string]string{"url": fmt.Sprintf("https://a/%d", i)})
	}
	b, err := json.Marshal(map[string]any{"images": many})
	if err != nil {
		t.Fatal(err)
	}
	if files, _, err := (Catalog{}).Files("x/y", b); len(files) != maxFiles || err != nil {
		t.Errorf("%d files: %v", len(files), err)
	}
}

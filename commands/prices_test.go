package commands_test

import (
	"encoding/json"
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
)

func TestPrices(t *testing.T) {
	p := commands.DefaultPrices()
	const kontext, lite, bria = "fal-ai/flux-kontext-lora", "fal-ai/bytedance/seedance/v1/lite/image-to-video", "bria/video/background-removal"
	for _, c := range []struct {
		model, input string
		want         int64
	}{
		{kontext, `{"prompt":"x"}`, 35_000},
		{kontext + "/text-to-image", `{"num_images":4,"image_size":"square_hd"}`, 140_000},
		{kontext, `{"num_images":"2","image_size":{"width":2048,"height":1024}}`, 140_000},
		{kontext, `{"image_size":{"width":-1,"height":1024}}`, 560_000},
		{kontext, ``, 560_000},
		{kontext, `{"num_images":-7}`, 560_000},
		{kontext, `{"num_images":" 4 "}`, 560_000},
		{kontext, `{"num_images":3,"NUM_IMAGES":1}`, 105_000},
		{kontext, `{"num_images":1e300}`, 3_500_000_000},
		{kontext, `not JSON`, 560_000},
		{"fal-ai/bria/background/remove", `{"image_url":"x"}`, 18_000},
		{"fal-ai/ltx-video-13b-dev/extend", `{"num_frames":161}`, 200_000},
		{lite, `{"resolution":"720p","duration":"5"}`, 194_400},
		{lite, `{"resolution":"720p","num_frames":120,"duration":"12"}`, 194_400},
		{lite, `{"resolution":"8k"}`, 1_080_000},
		{"fal-ai/bytedance/seedance/v1/pro/image-to-video", `{"resolution":"1080p","duration":"10"}`, 1_224_000},
		{"fal-ai/bytedance/seedance/v1/pro/image-to-video", `{"duration":"5"}`, 612_000},
		{bria, `{"video_url":"x"}`, 4_200_000},
		{bria, `{"video_url":"x","duration":5}`, 4_200_000},
		{bria, `{"video_url":"x","num_frames":1,"fps":60}`, 4_200_000},
		{lite, `{"resolution":"720p","num_frames":120,"fps":100000,"frame_rate":100000}`, 194_400},
		{"some/other", `{}`, 500_000},
		{"fal-ai/flux-kontext-lora-pro", `{}`, 500_000},
	} {
		if got := p.Estimate(c.model, json.RawMessage(c.input)); got != c.want {
			t.Errorf("%s %s: %d, want %d", c.model, c.input, got, c.want)
		}
	}
}

func TestCosts(t *testing.T) {
	p := commands.DefaultPrices()
	for _, c := range []struct {
		model, input, output string
		units                float64
		want                 int64
	}{
		{"fal-ai/flux-kontext-lora", `{}`, `{}`, 2.5, 87_500},
		{"fal-ai/flux-kontext-lora", `{}`, `{"images":[{"width":1024,"height":1024},{"width":1025,"height":1024}]}`, 0, 105_000},
		{"fal-ai/flux-kontext-lora", `{"num_images":2}`, `{"images":[]}`, 0, 70_000},
		{"bria/video/background-removal", `{}`, `{"video":{"duration":3.5}}`, 0, 490_000},
		{"bria/video/background-removal", `{}`, `{"video":{}}`, 0, 4_200_000},
		{"fal-ai/evf-sam", `{}`, `{"image":{}}`, 0, 10_000},
		{"fal-ai/evf-sam", `{}`, `{"image":{}}`, -1, 10_000},
	} {
		if got := p.Cost(c.model, json.RawMessage(c.input), json.RawMessage(c.output), c.units); got != c.want {
			t.Errorf("%s %s %v: %d, want %d", c.model, c.output, c.units, got, c.want)
		}
	}
}

func TestParsePrices(t *testing.T) {
	p, err := commands.ParsePrices("fal-ai/flux=0.025/megapixel*8, fal-ai/evf-sam=0,x/y=0.3/second", commands.DefaultPrices())
	if err != nil {
		t.Fatal(err)
	}
	for model, want := range map[string]int64{"fal-ai/flux/dev": 200_000, "fal-ai/evf-sam": 0, "x/y": 9_000_000, "fal-ai/bria/background/remove": 18_000} {
		if got := p.Estimate(model, nil); got != want {
			t.Errorf("%s: %d, want %d", model, got, want)
		}
	}
	again, err := commands.ParsePrices(p.String(), nil)
	if err != nil || again.String() != p.String() {
		t.Errorf("%q is read as %q: %v", p, again, err)
	}
	for _, bad := range []string{"x", "x=", "=1", "x=-1", "x=NaN", "x=1/mile", "x=1/image*0", "x=1/image*x", "x=1,x=2", "x=1e99"} {
		if _, err := commands.ParsePrices(bad, nil); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

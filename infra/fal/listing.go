package fal

import "github.com/infinite-kanvas/kanvas/commands"

// listed are the models that people are offered, in the order in which they are shown; fal.ai's documentation says what each takes. Others that are
// allowed run as well, for whoever knows their names.
var listed = []commands.OfferedModel{
	{Model: "fal-ai/flux-kontext-lora/text-to-image", Name: "FLUX Kontext", Does: commands.DoesTextToImage},
	{Model: "fal-ai/flux-kontext-lora", Name: "FLUX Kontext", Does: commands.DoesRestyle, Takes: "image_url"},
	{Model: "fal-ai/bria/background/remove", Name: "Bria", Does: commands.DoesRemoveBackground, Takes: "image_url"},
	{Model: "fal-ai/evf-sam", Name: "EVF-SAM", Does: commands.DoesIsolate, Takes: "image_url"},
	{Model: "fal-ai/bytedance/seedance/v1/lite/image-to-video", Name: "Seedance Lite", Does: commands.DoesImageToVideo, Takes: "image_url"},
	{Model: "fal-ai/bytedance/seedance/v1/pro/image-to-video", Name: "Seedance Pro", Does: commands.DoesImageToVideo, Takes: "image_url"},
	{Model: "fal-ai/ltx-video-13b-dev/image-to-video", Name: "LTX Video", Does: commands.DoesImageToVideo, Takes: "image_url"},
	{Model: "fal-ai/stable-video-diffusion", Name: "Stable Video Diffusion", Does: commands.DoesImageToVideo, Takes: "image_url", NoPrompt: true},
	{Model: "fal-ai/bytedance/seedance/v1/lite/text-to-video", Name: "Seedance Lite", Does: commands.DoesTextToVideo},
	{Model: "bria/video/background-removal", Name: "Bria Video", Does: commands.DoesRemoveBackground, Takes: "video_url"},
}

// Offered lists what people are offered of the models that are run with the server's key.
func (c Catalog) Offered() (list []commands.OfferedModel) {
	for _, m := range listed {
		if known, ok := c.Model(m.Model); ok {
			m.Result = known.Result
			m.NoPrompt = m.NoPrompt || m.Does == commands.DoesRemoveBackground
			list = append(list, m)
		}
	}
	return list
}

package fal

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/infinite-kanvas/kanvas/commands"
)

const maxFiles = 16 // of one result

var _ commands.Models = Catalog{}

// Catalog knows fal.ai's models. It implements commands.Models.
type Catalog struct{ Allowed Models }

// maskModels give a mask of the picture that the named member of their input names.
var maskModels = map[string]string{"fal-ai/evf-sam": "image_url"}

// videoModels are those listed ones whose name does not say so.
var videoModels = Models{"fal-ai/bytedance/seedance"}

// Model implements commands.Models. Of models that nobody has described, the name says whether they make videos.
func (c Catalog) Model(name string) (commands.Model, bool) {
	if !modelName(name) || !c.Allowed.allow(name) {
		return commands.Model{}, false
	}
	m := commands.Model{Result: commands.ResultImage, MaskOf: maskModels[name]}
	if strings.Contains(name, "video") || videoModels.allow(name) {
		m.Result = commands.ResultVideo
	}
	return m, true
}

// asWeNeed sets what the rest of the way depends on: results are files at addresses, and masks are masks.
func asWeNeed(model string, input json.RawMessage) (json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(input, &members); err != nil || members == nil {
		return nil, &commands.JobFailure{Code: commands.FailedInput, Detail: "the input is not a JSON object"}
	}
	_, inline := members["sync_mode"]
	_, mask := maskModels[model]
	if !inline && !mask {
		return input, nil
	}
	delete(members, "sync_mode")
	if mask {
		members["mask_only"] = json.RawMessage("true")
	}
	return json.Marshal(members)
}

// fileMembers are where models put their pictures and videos, the result itself before what goes with it.
var fileMembers = []string{"images", "image", "videos", "video", "output", "outputs", "result", "image_url", "video_url", "url"}

// fileValue is a file as fal.ai describes it; models also give an address alone.
type fileValue struct {
	URL         string  `json:"url"`
	ContentType string  `json:"content_type"`
	Width       float64 `json:"width"`
	Height      float64 `json:"height"`
}

// Files implements commands.Models. Pictures that the model itself calls unfit to be shown are not among them: they are black.
func (c Catalog) Files(model string, output json.RawMessage) ([]commands.ResultFile, string, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(output, &members); err != nil {
		return nil, "", &commands.JobFailure{Code: commands.FailedResult, Detail: "the model's answer is not a JSON object", Billed: true}
	}
	var files []commands.ResultFile
	for _, name := range fileMembers {
		if files = filesIn(members[name]); len(files) > 0 {
			break
		}
	}
	if len(files) == 0 {
		return nil, "", &commands.JobFailure{Code: commands.FailedResult, Detail: "the model's answer names no picture or video", Billed: true}
	}
	if files = fit(files, members["has_nsfw_concepts"]); len(files) == 0 {
		return nil, "", &commands.JobFailure{Code: commands.FailedContentPolicy, Detail: "the model calls its own result unfit to be shown", Billed: true}
	}
	return files[:min(len(files), maxFiles)], seedOf(members["seed"]), nil
}

func filesIn(value json.RawMessage) (list []commands.ResultFile) {
	value = bytes.TrimSpace(value)
	if len(value) == 0 {
		return nil
	}
	switch value[0] {
	case '[':
		var values []json.RawMessage
		if json.Unmarshal(value, &values) == nil {
			for _, v := range values {
				if len(v) > 0 && v[0] != '[' {
					list = append(list, filesIn(v)...)
				}
			}
		}
	case '"':
		var f fileValue
		if json.Unmarshal(value, &f.URL) == nil {
			list = f.visible()
		}
	case '{':
		var f fileValue
		if json.Unmarshal(value, &f) == nil {
			list = f.visible()
		}
	}
	return list
}

// visible is the file, unless it says that it is neither picture nor video.
func (f fileValue) visible() []commands.ResultFile {
	kind, _, _ := strings.Cut(f.ContentType, ";")
	major, _, _ := strings.Cut(kind, "/")
	if !strings.HasPrefix(f.URL, "https://") && !strings.HasPrefix(f.URL, "data:") || kind != "" && !slices.Contains([]string{"image", "video", "application"}, major) {
		return nil
	}
	pixels := func(v float64) int {
		if v >= 1 && v <= 1<<16 {
			return int(v)
		}
		return 0
	}
	return []commands.ResultFile{{URL: f.URL, ContentType: kind, Width: pixels(f.Width), Height: pixels(f.Height)}}
}

func fit(files []commands.ResultFile, flags json.RawMessage) (list []commands.ResultFile) {
	var unfit []bool
	if json.Unmarshal(flags, &unfit) != nil {
		return files
	}
	for i, f := range files {
		if i >= len(unfit) || !unfit[i] {
			list = append(list, f)
		}
	}
	return list
}

// seedOf is the seed as digits: some are beyond what a float64 holds.
func seedOf(value json.RawMessage) string {
	s := strings.Trim(string(bytes.TrimSpace(value)), `"`)
	if len(s) == 0 || len(s) > 20 || strings.Trim(strings.TrimPrefix(s, "-"), "0123456789") != "" || s == "-" {
		return ""
	}
	return s
}

package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// elements returns n elements of about 275 bytes: those of the drawings in dir (Excalidraw libraries) as images, since old
// clients are shown images alone, with the drawing's own members as members that must survive; made-up ones where there are none.
func elements(dir string, n int) ([]json.RawMessage, error) {
	var drawn []map[string]any
	files, err := filepath.Glob(filepath.Join(dir, "*.excalidrawlib"))
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		var lib struct {
			LibraryItems []struct{ Elements []map[string]any }
			Library      [][]map[string]any
		}
		if err := json.Unmarshal(b, &lib); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		for _, it := range lib.LibraryItems {
			drawn = append(drawn, it.Elements...)
		}
		for _, it := range lib.Library {
			drawn = append(drawn, it...)
		}
	}
	if len(drawn) == 0 {
		drawn = []map[string]any{{"strokeColor": "#1d3557", "backgroundColor": "#FECA57", "strokeWidth": 2, "roughness": 1}}
	}
	out := make([]json.RawMessage, n)
	for i := range out {
		from := drawn[i%len(drawn)]
		e := map[string]any{"id": fmt.Sprintf("el-%05d", i), "type": "image", "src": fmt.Sprintf("https://example.com/images/%05d.png", i)}
		for _, k := range []string{"x", "y", "width", "height", "strokeColor", "backgroundColor", "fillStyle", "strokeWidth", "strokeStyle", "roughness", "opacity", "text"} {
			if v, ok := from[k]; ok {
				e[k] = v
			}
		}
		if t, ok := e["text"].(string); ok && len(t) > 60 {
			e["text"] = t[:0]
		}
		b, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		out[i] = b
	}
	return out, nil
}

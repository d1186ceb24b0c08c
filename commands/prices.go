package commands

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Micros is one US dollar in the unit that money is counted in: millionths of a dollar.
const Micros = 1_000_000

// Unit is what a model at fal.ai is priced by.
type Unit string

// The units.
const (
	UnitCall      Unit = "call"      // a run, whatever comes of it
	UnitImage     Unit = "image"     // a picture of the result
	UnitMegapixel Unit = "megapixel" // of each picture of the result, rounded up
	UnitSecond    Unit = "second"    // of the video
	UnitTokens    Unit = "tokens"    // a million video tokens: width × height × frames ÷ 1024
)

var unitsKnown = []Unit{UnitCall, UnitImage, UnitMegapixel, UnitSecond, UnitTokens}

// Price is what a model and all below it cost.
type Price struct {
	Model  string // such as "fal-ai/bria/background"; "*": whatever no other price is for
	Dollar float64
	Unit   Unit
	Most   float64 // units that one run can come to, which is reserved where its input doesn't say; ≥ 1 but for tokens
}

// Prices finds the price of a model: that with the longest name that the model is or is below.
type Prices []Price

// DefaultPrices are those of fal.ai for the models that the front end runs.
func DefaultPrices() Prices {
	return Prices{
		{"fal-ai/flux-kontext-lora", 0.035, UnitMegapixel, 16},
		{"fal-ai/bria/background", 0.018, UnitCall, 1},
		{"fal-ai/evf-sam", 0.01, UnitCall, 1},
		{"fal-ai/ltx-video-13b-dev", 0.2, UnitCall, 1},
		{"fal-ai/bytedance/seedance/v1/lite", 1.8, UnitTokens, 0.6},
		{"fal-ai/bytedance/seedance", 2.5, UnitTokens, 0.6},
		{"fal-ai/stable-video-diffusion", 0.1, UnitCall, 1},
		{"bria/video/background-removal", 0.14, UnitSecond, 30},
		{"*", 0.5, UnitCall, 1},
	}
}

// ParsePrices reads "MODEL=DOLLARS[/UNIT[*MOST]]", comma-separated, such as "fal-ai/flux=0.025/megapixel*16,*=1". They come before base's, and replace
// those of the same models.
func ParsePrices(text string, base Prices) (Prices, error) {
	var list Prices
	for _, s := range strings.Split(text, ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		p, err := parsePrice(s)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(list, func(q Price) bool { return q.Model == p.Model }) {
			return nil, fmt.Errorf("%q is priced twice", p.Model)
		}
		list = append(list, p)
	}
	for _, p := range base {
		if !slices.ContainsFunc(list, func(q Price) bool { return q.Model == p.Model }) {
			list = append(list, p)
		}
	}
	return list, nil
}

func parsePrice(s string) (Price, error) {
	model, rest, ok := strings.Cut(s, "=")
	p := Price{Model: strings.TrimSpace(model), Unit: UnitCall, Most: 1}
	dollars, unit, has := strings.Cut(rest, "/")
	var most string
	if has {
		unit, most, _ = strings.Cut(unit, "*")
		p.Unit = Unit(unit)
	}
	var err error
	p.Dollar, err = strconv.ParseFloat(dollars, 64)
	switch {
	case !ok || p.Model == "" || err != nil || !(p.Dollar >= 0 && p.Dollar <= 10_000):
		return p, fmt.Errorf("%q is no price such as fal-ai/flux=0.025/megapixel", s)
	case !slices.Contains(unitsKnown, p.Unit):
		return p, fmt.Errorf("%q is priced by what is none of %v", s, unitsKnown)
	case most != "":
		if p.Most, err = strconv.ParseFloat(most, 64); err != nil || !(p.Most > 0 && p.Most <= maxUnits) {
			return p, fmt.Errorf("%q: *%s is no number of units", s, most)
		}
	default:
		p.Most = mostOf[p.Unit]
	}
	return p, nil
}

// mostOf are the units that a run can come to where a price does not say.
var mostOf = map[Unit]float64{UnitCall: 1, UnitImage: 4, UnitMegapixel: 16, UnitSecond: 30, UnitTokens: 0.6}

// String is the form that ParsePrices reads.
func (p Prices) String() string {
	var b strings.Builder
	for i, r := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s=%s", r.Model, strconv.FormatFloat(r.Dollar, 'f', -1, 64))
		if r.Unit != UnitCall || r.Most != 1 {
			fmt.Fprintf(&b, "/%s*%s", r.Unit, strconv.FormatFloat(r.Most, 'f', -1, 64))
		}
	}
	return b.String()
}

// of is the price of a model.
func (p Prices) of(model string) Price {
	found := Price{Dollar: 1, Unit: UnitCall, Most: 1} // where not even "*" is there
	best := -1
	for _, r := range p {
		n := len(r.Model)
		switch {
		case r.Model == "*":
			n = 0
		case model != r.Model && !strings.HasPrefix(model, r.Model+"/"):
			continue
		}
		if n > best {
			found, best = r, n
		}
	}
	return found
}

// Estimate is what a run may cost at most, in millionths of a US dollar. input nil: it isn't known.
func (p Prices) Estimate(model string, input json.RawMessage) int64 {
	r := p.of(model)
	return r.micros(r.expected(input))
}

// Cost is what a run did cost: fal.ai says how many units it billed (units); where that is 0, it is taken from what came out, or estimated.
func (p Prices) Cost(model string, input, output json.RawMessage, units float64) int64 {
	r := p.of(model)
	if units > 0 && !math.IsInf(units, 1) {
		return r.micros(units)
	}
	if n, ok := r.counted(output); ok {
		return r.micros(n)
	}
	return r.micros(r.expected(input))
}

// maxUnits bounds what is believed of a number of units.
const maxUnits = 100_000

// micros is the price of units, rounded up.
func (r *Price) micros(units float64) int64 {
	return int64(math.Ceil(min(units, maxUnits)*r.Dollar*Micros - 1e-6))
}

// expected is how many units a run with the input can come to: Most where it doesn't say, or says it in a way that the other side may read otherwise.
func (r *Price) expected(input json.RawMessage) float64 {
	var in map[string]any // not a struct, whose members would be found by names in capitals too
	if len(input) == 0 || json.Unmarshal(input, &in) != nil {
		return r.Most
	}
	var n float64
	ok := true
	switch r.Unit {
	case UnitCall:
		return 1
	case UnitImage:
		n, ok = numberOr(in["num_images"], 1)
	case UnitMegapixel:
		images, known := numberOr(in["num_images"], 1)
		n, ok = pictureSize(in["image_size"])
		n, ok = n*images, ok && known
	case UnitSecond:
		if in["video_url"] != nil { // it is as long as that video, whatever else the input says
			return r.Most
		}
		n, ok = seconds(in, 0)
	case UnitTokens:
		pixels, known := framePixels(in["resolution"])
		delete(in, "frame_rate") // frames are counted, however fast they are shown
		delete(in, "fps")
		n, ok = seconds(in, 5)
		n, ok = pixels*n*tokenFrames/1024/1e6, ok && known
	}
	if !ok || n <= 0 {
		return r.Most
	}
	return n
}

// tokenFrames are the frames of a second that video tokens are counted by.
const tokenFrames = 24

// seconds is how long the video will be; other where the input does not say.
func seconds(in map[string]any, other float64) (n float64, ok bool) {
	if in["num_frames"] == nil {
		return numberOr(in["duration"], other)
	}
	rate := in["frame_rate"]
	if rate == nil {
		rate = in["fps"]
	}
	frames, ok := numberOr(in["num_frames"], 0)
	perSecond, known := numberOr(rate, tokenFrames)
	return frames / perSecond, ok && known
}

// numberOr reads a positive number, also from a text; other where there is nothing.
func numberOr(v any, other float64) (n float64, ok bool) {
	switch v := v.(type) {
	case nil:
		return other, true
	case float64:
		n = v
	case string:
		n, _ = strconv.ParseFloat(strings.TrimSuffix(v, "s"), 64)
	}
	return min(n, maxUnits), n > 0
}

// pictureSize is the megapixels of image_size, rounded up; of a name of fal.ai's or none, 1.
func pictureSize(v any) (megapixels float64, ok bool) {
	switch size := v.(type) {
	case nil, string:
		return 1, true
	case map[string]any:
		w, known := numberOr(size["width"], 0)
		h, too := numberOr(size["height"], 0)
		return roundedMegapixels(w * h), known && too && w*h > 0
	}
	return 0, false
}

func roundedMegapixels(pixels float64) float64 { return max(1, math.Ceil(pixels/(1<<20))) }

// framePixels is the size of a frame by the name of its resolution; none is 1080p, the most.
func framePixels(v any) (pixels float64, ok bool) {
	switch v {
	case "480p":
		return 864 * 480, true
	case "720p":
		return 1280 * 720, true
	case "1080p", nil:
		return 1920 * 1088, true
	}
	return 0, false
}

// counted is the units of a result, where it shows them.
func (r *Price) counted(output json.RawMessage) (units float64, ok bool) {
	var out struct {
		Images []struct {
			Width  float64 `json:"width"`
			Height float64 `json:"height"`
		} `json:"images"`
		Duration any `json:"duration"`
		Video    struct {
			Duration any `json:"duration"`
		} `json:"video"`
	}
	if len(output) == 0 || json.Unmarshal(output, &out) != nil {
		return 0, false
	}
	switch r.Unit {
	case UnitImage:
		units = float64(len(out.Images))
	case UnitMegapixel:
		for _, i := range out.Images {
			units += roundedMegapixels(i.Width * i.Height)
		}
	case UnitSecond:
		if out.Video.Duration == nil {
			out.Video.Duration = out.Duration
		}
		units, _ = numberOr(out.Video.Duration, 0)
	}
	return units, units > 0
}

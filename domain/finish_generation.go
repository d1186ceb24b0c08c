package domain

import (
	"encoding/json"
	"math"
	"strconv"

	"github.com/infinite-kanvas/kanvas/events"
)

// GeneratedFile is a stored file of a result.
type GeneratedFile struct {
	Asset         string // id
	Width, Height int    // pixels; 0: not known
}

// besideGap is how far further pictures of one result stand from each other, in canvas units.
const besideGap = 20

// finishGeneration puts the result where it was asked for. Where nobody waits for it any more it is kept all the same, as files.
func (d *decider) finishGeneration(c FinishGeneration) error {
	g := d.generation(c.ID)
	switch {
	case g == nil:
		return nil
	case len(c.Files) == 0:
		return Errorf(CodeInvalidCommand, "files: none")
	}
	names := make([]string, len(c.Files))
	for i := range c.Files {
		names[i] = "asset:" + c.Files[i].Asset
	}
	if g.Status == GenerationCanceled {
		d.emit(events.GenerationSettled, &events.GenerationSettledData{ID: g.ID, Assets: names, Seed: c.Seed, Cost: c.Cost, DurationMS: c.DurationMS})
		return nil
	}
	e := d.shownBy(g)
	d.emit(events.GenerationSucceeded, &events.GenerationSucceededData{ID: g.ID, Assets: names, Seed: c.Seed, Cost: c.Cost, DurationMS: c.DurationMS, Kept: e != nil})
	if e == nil {
		return nil
	}
	box := boxOf(e)
	shown := box.holding(&c.Files[0], turned(e))
	set := sortMembers(append(shown.members(box), events.Member{Key: "src", Value: events.AppendString(nil, names[0])}))
	if placeholder(e) {
		d.patchFor(g.User, e.id, set, waiting(e))
	} else { // a step of undo by itself: it brings back what was there
		d.patchFor(g.User, e.id, nil, waiting(e))
		d.emitAs(g.User, "", events.ElementPatched, &events.ElementPatchedData{ID: e.id, Set: set})
	}
	d.addBeside(g, e, shown, c.Files[1:])
	return nil
}

// showGeneration lets an element that waits for what is over wait no longer. It is nobody's step of undo: whoever brought the element back can take it
// away again.
func (d *decider) showGeneration(c ShowGeneration) error {
	e := d.room.canvas.byID[c.ElementID]
	if e == nil || WaitsFor(e) != c.ID {
		return nil
	}
	if g := FindGeneration(d.room.generations, c.ID); g != nil && g.under() {
		return nil
	}
	user := d.room.actors.names[e.provenanceOf("id").actor]
	if user == "" {
		user = d.actor.ID
	}
	switch c.Status {
	case GenerationSucceeded:
		box := boxOf(e)
		set := append(box.holding(&c.File, turned(e)).members(box), events.Member{Key: "src", Value: events.AppendString(nil, "asset:"+c.File.Asset)})
		d.patchFor(user, e.id, sortMembers(set), waiting(e))
	case GenerationCanceled:
		if placeholder(e) {
			d.emitAs(user, events.CauseGeneration, events.ElementRemoved, &events.ElementRemovedData{IDs: []string{e.id}})
			break
		}
		d.patchFor(user, e.id, nil, waiting(e))
	case GenerationFailed, GenerationUnknown:
		d.patchFor(user, e.id, events.Members{{Key: generationKey, Value: generationMark(c.ID, c.Status, c.Code, c.Detail)}}, waiting(e)[1:])
	default:
		return Errorf(CodeInvalidCommand, "a generation that is %s is not shown", c.Status)
	}
	return nil
}

// addBeside adds further pictures of a result to the right of the first, as one step of undo, as far as the room has place for them.
func (d *decider) addBeside(g *Generation, e *Element, shown box, files []GeneratedFile) {
	if len(files) == 0 {
		return
	}
	order := d.room.canvas.order
	at, after := d.room.canvas.place(e)+1, ""
	if at < len(order) {
		after = order[at].z
	}
	keys, err := KeysBetween(e.z, after, len(files))
	if err != nil || len(keys[len(keys)-1]) > MaxZ {
		return // the files are in the event
	}
	bytes := 0
	for i := range files {
		b := box{x: shown.x + float64(i+1)*(shown.width+besideGap), y: shown.y, width: shown.width, height: shown.height}
		b = b.holding(&files[i], true)
		made := besideElement(g.ID+"-"+strconv.Itoa(i+1), e.typ, b, files[i].Asset).apply([]part{{key: "z", value: quotedZ(keys[i])}})
		if bytes += len(made.json); d.room.canvas.byID[made.id] != nil || d.roomFor(i+1, bytes) != nil {
			return
		}
		d.emitAs(g.User, "", events.ElementAdded, &events.ElementAddedData{Element: made.json})
	}
}

func besideElement(id, typ string, b box, asset string) *Element {
	e := &Element{json: []byte("{}")}
	ps := []part{{key: "id", value: events.AppendString(nil, id)}, {key: "type", value: events.AppendString(nil, typ)}, {key: "isGenerated", value: []byte("true")},
		{key: "src", value: events.AppendString(nil, "asset:"+asset)}}
	for _, m := range b.members(box{x: math.NaN(), y: math.NaN(), width: math.NaN(), height: math.NaN()}) {
		ps = append(ps, part{key: m.Key, value: m.Value})
	}
	e = e.apply(ps)
	e.id, e.typ = id, typ
	return e
}

// box is where something is on the canvas.
type box struct{ x, y, width, height float64 }

func boxOf(e *Element) box {
	return box{number(e, "x"), number(e, "y"), number(e, "width"), number(e, "height")}
}

func number(e *Element, key string) float64 {
	var f float64
	if v, ok := e.Get(key); ok && json.Unmarshal(v, &f) != nil {
		return 0
	}
	return f
}

func turned(e *Element) bool { return number(e, "rotation") != 0 }

// holding is the largest box of the file's shape within b, in its middle, or at its corner. A box without a size becomes as large as the file.
func (b box) holding(f *GeneratedFile, corner bool) box {
	if f.Width <= 0 || f.Height <= 0 {
		return b
	}
	w, h := float64(f.Width), float64(f.Height)
	if b.width <= 0 || b.height <= 0 {
		return box{b.x, b.y, w, h}
	}
	if scale := w / h; math.Abs(b.width/b.height/scale-1) < 0.01 {
		return b
	}
	scale := math.Min(b.width/w, b.height/h)
	is := box{b.x, b.y, round(w * scale), round(h * scale)}
	if !corner {
		is.x, is.y = round(b.x+(b.width-is.width)/2), round(b.y+(b.height-is.height)/2)
	}
	return is
}

func round(f float64) float64 { return math.Round(f*1000) / 1000 }

// members are those that make was what b is.
func (b box) members(was box) (m events.Members) {
	for _, c := range [...]struct {
		key     string
		is, was float64
	}{{"height", b.height, was.height}, {"width", b.width, was.width}, {"x", b.x, was.x}, {"y", b.y, was.y}} {
		if c.is != c.was && !math.IsInf(c.is, 0) && !math.IsNaN(c.is) {
			m = append(m, events.Member{Key: c.key, Value: strconv.AppendFloat(nil, c.is, 'f', -1, 64)})
		}
	}
	return m
}

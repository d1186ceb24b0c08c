package commands

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

// PersonalConfig is what NewPersonal needs.
type PersonalConfig struct {
	People  *People
	Sealer  *Sealer
	Rooms   Rooms
	Objects Objects
	// Scan yields the whole log as it is now: each stream in order, streams in any. It ends where yield returns an error, with it.
	Scan func(ctx context.Context, yield func(events.Record) error) error
}

// Personal gives people what is kept of them. Methods may be called concurrently.
type Personal struct{ cfg PersonalConfig }

// NewPersonal returns it.
func NewPersonal(cfg PersonalConfig) *Personal { return &Personal{cfg} }

// personalNote is for whoever opens the archive.
const personalNote = `What this server keeps of one person, and of the guests that turned out to be them.

profile.json      name, e-mail, picture, colour, guests
rooms.json        the rooms they are or were in, with their role
chat.json         what they wrote in chat
comments.json     what they wrote in comments
generations.json  what they had made by models: prompts, costs, results
elements.json     what they put on a canvas and is there now, as it is now
activity.jsonl    everything they did, in the order of each room's log: one event a line
assets.json       the pictures and videos they brought
assets/           their bytes
Times are in UTC. Money is in millionths of a US dollar.
`

// WriteZip writes everything that is kept of a person to w. It reads the whole log. CodeNotFound for who was never here or was forgotten.
func (p *Personal) WriteZip(ctx context.Context, person string, w io.Writer) error {
	x, err := p.begin(ctx, person)
	if err != nil {
		return err
	}
	z := zip.NewWriter(w)
	note, err := z.Create("README.txt")
	if err == nil {
		_, err = io.WriteString(note, personalNote)
	}
	if err != nil {
		return err
	}
	activity, err := z.Create("activity.jsonl")
	if err != nil {
		return err
	}
	x.activity = json.NewEncoder(activity)
	if err := p.cfg.Scan(ctx, func(rec events.Record) error { return x.record(ctx, rec) }); err != nil {
		return fmt.Errorf("personal data of %s: %w", person, err)
	}
	for _, file := range []struct {
		name string
		make func(context.Context) (any, error)
	}{{"profile.json", x.profile}, {"rooms.json", x.roomList}, {"chat.json", textList(&x.chat)}, {"comments.json", textList(&x.comments)},
		{"generations.json", x.generationList}, {"elements.json", x.elementsNow}, {"assets.json", x.assetList}} {
		v, err := file.make(ctx)
		if err == nil {
			err = addJSON(z, file.name, v)
		}
		if err != nil {
			return fmt.Errorf("personal data of %s: %s: %w", person, file.name, err)
		}
	}
	if err := x.addBytes(ctx, z); err != nil {
		return fmt.Errorf("personal data of %s: %w", person, err)
	}
	return z.Close()
}

func addJSON(z *zip.Writer, name string, v any) error {
	w, err := z.Create(name)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// begin finds out who is meant.
func (p *Personal) begin(ctx context.Context, person string) (*personal, error) {
	deleted, err := p.cfg.People.Deleted(ctx, person)
	if err != nil {
		return nil, err
	}
	known, err := p.cfg.People.Known(ctx, person)
	if err != nil {
		return nil, err
	}
	if !known {
		if known, err = p.cfg.Sealer.HasKey(ctx, person); err != nil {
			return nil, err
		}
	}
	if deleted || !known {
		return nil, domain.Errorf(domain.CodeNotFound, "nothing is kept of %q: never here, or forgotten", person)
	}
	x := &personal{cfg: p.cfg, id: person, mine: map[string]bool{person: true}, people: map[string]*personAt{}, rooms: map[string]*personalRoom{},
		generations: map[string]*personalGeneration{}, made: map[string][]string{}, assets: map[string][]*events.Commit{}}
	if hasStream(person) {
		guests, err := p.cfg.People.Guests(ctx, person)
		if err != nil {
			return nil, err
		}
		for _, g := range guests {
			x.mine[g] = true
		}
	}
	return x, nil
}

// addBytes puts in the pictures and videos that are there.
func (x *personal) addBytes(ctx context.Context, z *zip.Writer) error {
	for _, id := range sortedKeys(x.assets) {
		a := domain.FoldAsset(x.assets[id])
		if !a.Shown() {
			continue
		}
		body, _, err := x.cfg.Objects.Get(ctx, a.Stored.Key, 0, -1)
		if errors.Is(err, ErrNoObject) {
			continue // deleted meanwhile
		}
		if err != nil {
			return fmt.Errorf("asset %s: %w", id, err)
		}
		// Stored, as pictures are compressed already.
		w, err := z.CreateHeader(&zip.FileHeader{Name: assetFile(id, a.Stored.Key), Method: zip.Store, Modified: time.UnixMilli(a.StoredAt).UTC()})
		if err == nil {
			_, err = io.Copy(w, body)
		}
		if err = errors.Join(err, body.Close()); err != nil {
			return fmt.Errorf("asset %s: %w", id, err)
		}
	}
	return nil
}

// assetFile names an asset's file in the archive.
func assetFile(id, key string) string { return "assets/" + id + path.Ext(key) }

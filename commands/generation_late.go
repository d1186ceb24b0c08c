package commands

import (
	"context"
	"strings"

	"github.com/infinite-kanvas/kanvas/domain"
)

// showLate lets elements that wait for a generation which is over wait no longer: copies, and those that redo or a restore brought back.
func (f *follow) showLate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	v, err := f.g.cfg.Rooms.View(ctx, f.key.room)
	if isCode(err, domain.CodeNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var waiting []string
	for _, e := range v.Elements {
		if domain.WaitsFor(e) == f.key.id {
			waiting = append(waiting, e.ID())
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	show, ok, err := f.g.outcomeToShow(ctx, f.key)
	if err != nil || !ok {
		return err // a mark of a generation that there never was is its maker's own business
	}
	for _, id := range waiting {
		show.ElementID = id
		if _, err := f.g.command(ctx, f.key.room, show, ""); err != nil && !isCode(err, domain.CodeNotFound) {
			return err
		}
	}
	return nil
}

// outcomeToShow is what became of a generation; ok is false where the room never had it.
func (g *Generations) outcomeToShow(ctx context.Context, k generationKey) (show domain.ShowGeneration, ok bool, err error) {
	r, ok, err := g.cfg.Table.Generation(ctx, k.room, k.id)
	if err != nil || !ok {
		return show, false, err
	}
	show = domain.ShowGeneration{ID: k.id, Status: r.Status, Code: r.Code, Detail: r.Detail}
	if r.Status == domain.GenerationSucceeded && len(r.Assets) > 0 {
		show.File.Asset = strings.TrimPrefix(r.Assets[0], assetScheme)
		a, err := g.cfg.Uploads.fold(ctx, show.File.Asset)
		if err != nil {
			return show, false, err
		}
		if a.Stored != nil {
			show.File.Width, show.File.Height = a.Stored.Width, a.Stored.Height
		}
	}
	switch r.Status {
	case domain.GenerationSucceeded, domain.GenerationFailed, domain.GenerationCanceled, domain.GenerationUnknown:
		return show, true, nil
	}
	return show, false, nil
}

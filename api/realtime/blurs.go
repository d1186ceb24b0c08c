package realtime

import (
	"bytes"
	"context"
	"log/slog"

	"github.com/infinite-kanvas/kanvas/api/wire"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/projections"
)

// Pictures is what the hub asks about pictures, from the tables. Called concurrently.
type Pictures interface {
	AssetsByID(ctx context.Context, ids []string) ([]projections.AssetRow, error)
	AssetRooms(ctx context.Context, asset string) ([]string, error)
}

const (
	// blursQueued bounds what waits to be looked up. What finds no place is told to nobody: pictures come without a blur before them.
	blursQueued = 1_000
	// unblurredMost bounds what is remembered for somebody who is catching up, beside what the room shows.
	unblurredMost = 10_000
)

// blurs tells those sockets that ask for it (hello.assets) how pictures look before they are loaded: of everything that the room shows when they come,
// of what a commit shows, and of what becomes known later. The message is not durable: who misses one loads the picture without.
type blurs struct {
	hub   *Hub
	queue chan blurJob
}

// blurJob is either assets that a commit shows in a room, or one asset that has become known, wherever it is shown.
type blurJob struct {
	room  string
	ids   []string
	asset string
}

func newBlurs(h *Hub) *blurs { return &blurs{hub: h, queue: make(chan blurJob, blursQueued)} }

// PictureReady has everybody who shows the asset told of its blur. It does not block.
func (h *Hub) PictureReady(asset string) {
	if h.cfg.Pictures != nil {
		h.blurs.put(blurJob{asset: asset, ids: []string{asset}})
	}
}

func (b *blurs) put(job blurJob) {
	select {
	case b.queue <- job:
	default:
	}
}

func (b *blurs) run() {
	for {
		select {
		case <-b.hub.ctx.Done():
			return
		case job := <-b.queue:
			if err := b.tell(job); err != nil && b.hub.ctx.Err() == nil {
				b.hub.log.Warn("blurs_not_told", slog.String("error", err.Error()))
			}
		}
	}
}

func (b *blurs) tell(job blurJob) error {
	ctx, cancel := context.WithTimeout(b.hub.ctx, lookupTimeout)
	defer cancel()
	rooms := []string{job.room}
	if job.asset != "" {
		var err error
		if rooms, err = b.hub.cfg.Pictures.AssetRooms(ctx, job.asset); err != nil {
			return err
		}
	}
	open := b.hub.opened(rooms)
	if len(open) == 0 {
		return nil
	}
	for ids := job.ids; len(ids) > 0; ids = ids[min(len(ids), projections.MaxAssetIDs):] {
		frame, err := b.hub.blurFrame(ctx, ids[:min(len(ids), projections.MaxAssetIDs)])
		if err != nil {
			return err
		}
		for _, r := range open {
			if frame != nil {
				r.post(funcMail(func(r *room) { r.sendBlurs(frame) }))
			}
		}
	}
	return nil
}

// opened returns those of the rooms that somebody has open here.
func (h *Hub) opened(ids []string) (list []*room) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		if r := h.rooms[id]; r != nil {
			list = append(list, r)
		}
	}
	return list
}

// blurFrame is nil where none of the assets has a blur.
func (h *Hub) blurFrame(ctx context.Context, ids []string) ([]byte, error) {
	rows, err := h.cfg.Pictures.AssetsByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	head := newFrame(64 + 384*len(rows))
	b := wire.AppendPictures(head, rows)
	if len(b) == len(head) {
		return nil, nil
	}
	return finishFrame(b), nil
}

// sendBlurs passes a frame on to those who asked for it. The room's goroutine only.
func (r *room) sendBlurs(frame []byte) {
	for _, p := range r.peers {
		if x := v1Of(p); x != nil && x.blurs && x.live {
			p.send(frame)
		}
	}
}

// noteBlurs has those who asked for it told of the pictures that a commit shows.
func (h *v1Half) noteBlurs(c *events.Commit) {
	if h.blurred == 0 {
		return
	}
	ids := picturesOf(c)
	if len(ids) == 0 {
		return
	}
	h.room.hub.blurs.put(blurJob{room: h.room.id, ids: ids})
	for _, p := range h.room.peers {
		if x := v1Of(p); x != nil && x.blurs && !x.live && len(x.unblurred) < unblurredMost {
			x.unblurred = append(x.unblurred, ids...)
		}
	}
}

// assetIn returns the asset that a src names.
func assetIn(src []byte) (string, bool) {
	id, ok := bytes.CutPrefix(src, []byte(assetSource))
	if !ok || len(id) < 2 {
		return "", false
	}
	return string(id[:len(id)-1]), true
}

// picturesOf returns the assets that a commit shows. Only an element's own src counts: that it may be shown was asked, of what other members name it wasn't.
func picturesOf(c *events.Commit) (ids []string) {
	note := func(src []byte) {
		if id, ok := assetIn(src); ok {
			ids = append(ids, id)
		}
	}
	for i := range c.Events {
		switch d := c.Events[i].Payload.(type) {
		case *events.ElementAddedData:
			if !bytes.Contains(d.Element, []byte(assetSource)) {
				continue
			}
			if e, err := domain.ParseElement(d.Element); err == nil {
				src, _ := e.Get("src")
				note(src)
			}
		case *events.ElementPatchedData:
			for j := range d.Set {
				if d.Set[j].Key == "src" {
					note(d.Set[j].Value)
				}
			}
		}
	}
	return ids
}

// picturesIn returns the assets that a view shows and did not yet at revision after; all of them to who gets a snapshot.
func picturesIn(v *commands.View, after uint64, how string) (ids []string) {
	for _, e := range v.Elements {
		if how == "replay" && e.SetAt("src") <= after {
			continue
		}
		if src, ok := e.Get("src"); ok {
			if id, ok := assetIn(src); ok {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// blurStream tells a newcomer of the blurs of what the room shows, from the tables.
type blurStream struct {
	hub *Hub
	ids []string
}

func (s *blurStream) next(ctx context.Context) ([][]byte, error) {
	for len(s.ids) > 0 {
		n := min(len(s.ids), projections.MaxAssetIDs)
		frame, err := s.hub.blurFrame(ctx, s.ids[:n])
		s.ids = s.ids[n:]
		if err != nil { // they come without
			s.hub.log.Warn("blurs_not_told", slog.String("error", err.Error()))
			return nil, nil
		}
		if frame != nil {
			return [][]byte{frame}, nil
		}
	}
	return nil, nil
}

func (s *blurStream) ended(error) {}

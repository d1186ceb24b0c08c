package commands

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/semaphore"

	"github.com/infinite-kanvas/kanvas/commands/media"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
)

const (
	// uploadHolds is how long an upload may take; signed addresses hold as long.
	uploadHolds = 24 * time.Hour
	// maxUploadName is the longest name of a file that is taken, in bytes; maxKeptName what is kept of it.
	maxUploadName = 512
	maxKeptName   = 80

	looksAtOnce = 4 // uploads that are looked at
)

var errNoAsset = domain.Errorf(domain.CodeNotFound, "there is no such asset")

// Uploads is the road of pictures and videos that are sent as files: asked for, sent to the store, looked at, kept. What becomes of each is in the
// stream of its asset; what is neither kept nor under way is swept. Methods may be called concurrently, on several nodes.
type Uploads struct {
	streams *Streams
	objects Objects
	intake  Intake
	quota   *Quota
	grace   time.Duration
	drop    bool // names of files
	looks   *semaphore.Weighted
	logger  *slog.Logger
}

// UploadConfig is what NewUploads needs. Objects and Intake must be of the same store.
type UploadConfig struct {
	Streams *Streams
	Objects Objects
	Intake  Intake
	Quota   *Quota
	Grace   time.Duration // how long an unused asset is kept; 0: DefaultGrace
	// DropNames leaves the names of people's files out of keys, which are in the log and in addresses for as long as the picture is.
	DropNames bool
	Logger    *slog.Logger // nil: none
}

// DefaultGrace is how long an unused asset is kept.
const DefaultGrace = 30 * 24 * time.Hour

// NewUploads returns the road.
func NewUploads(c UploadConfig) *Uploads {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Grace == 0 {
		c.Grace = DefaultGrace
	}
	return &Uploads{streams: c.Streams, objects: c.Objects, intake: c.Intake, quota: c.Quota, grace: c.Grace, drop: c.DropNames, looks: semaphore.NewWeighted(looksAtOnce), logger: c.Logger}
}

// UploadRequest is what a person wants to send.
type UploadRequest struct {
	Name        string // of the file; "" for none
	ContentType string
	Size        int64  // bytes
	Room        string // "" for none; that the person may is for the caller to know
}

// Upload is one under way.
type Upload struct {
	Asset   string
	Staged  Staged
	Puts    []SignedPut    // nil: the parts are sent to this server
	Sent    map[int]string // ETags of parts that are there; nil where it comes in one request
	Expires time.Time
}

// Request reserves room for a file and says where its bytes are sent. CodeBadRequest, CodeTooLarge.
func (u *Uploads) Request(ctx context.Context, person string, r UploadRequest) (Upload, error) {
	kind, err := r.check()
	if err != nil {
		return Upload{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Upload{}, fmt.Errorf("id of an asset: %w", err)
	}
	name := r.Name
	if u.drop {
		name = ""
	}
	asset, expires := id.String(), time.UnixMilli(u.streams.clock()).Add(uploadHolds)
	if err := u.quota.reserve(ctx, person, asset, r.Size, expires); err != nil {
		return Upload{}, err
	}
	d := &events.AssetUploadRequestedData{
		User: person, Room: r.Room, Key: "images/" + person + "/" + ulid.ULID(id).String() + "-" + safeName(name, kind.Ext),
		ContentType: kind.ContentType, Size: r.Size, ExpiresAt: expires.UnixMilli(),
	}
	up, err := u.request(ctx, asset, d)
	if err != nil {
		err = errors.Join(err, u.fail(context.WithoutCancel(ctx), asset, d, domain.Errorf(domain.CodeUpstreamFailed, "the upload could not begin")))
	}
	return up, err
}

func (u *Uploads) request(ctx context.Context, asset string, d *events.AssetUploadRequestedData) (up Upload, err error) {
	staged := stagedOf(asset, d)
	if d.Upload, err = u.intake.Start(ctx, staged); err != nil {
		return up, refuseDown(err)
	}
	staged.ID = d.Upload
	err = u.streams.change(ctx, events.Asset(asset), func(cs []*events.Commit) ([]events.Event, error) {
		if len(cs) > 0 {
			return nil, nil // an answer was lost
		}
		return []events.Event{{Type: events.AssetUploadRequested, Actor: d.User, Payload: d}}, nil
	})
	if err != nil {
		return up, err
	}
	return u.upload(ctx, asset, d)
}

func stagedOf(asset string, d *events.AssetUploadRequestedData) Staged {
	return Staged{Key: StagedPrefix + asset, ID: d.Upload, ContentType: d.ContentType, Size: d.Size}
}

// upload says how the bytes get here, for as long as the upload may take.
func (u *Uploads) upload(ctx context.Context, asset string, d *events.AssetUploadRequestedData) (up Upload, err error) {
	up = Upload{Asset: asset, Staged: stagedOf(asset, d), Expires: time.UnixMilli(d.ExpiresAt)}
	left := up.Expires.Sub(time.UnixMilli(u.streams.clock()))
	if up.Puts, err = u.intake.Sign(ctx, up.Staged, max(left, time.Second)); err != nil {
		return up, refuseDown(err)
	}
	return up, nil
}

// refuseDown gives clients a reason where the store is away.
func refuseDown(err error) error {
	if errors.Is(err, ErrObjectsDown) {
		return fmt.Errorf("%w: %w", errNoObjects, err)
	}
	return err
}

// Asset returns an asset of the person's, however it stands. CodeNotFound where it is nobody's or another's.
func (u *Uploads) Asset(ctx context.Context, person, asset string) (domain.Asset, error) {
	a, err := u.fold(ctx, asset)
	if err != nil {
		return a, err
	}
	if owner := ownerOf(&a); owner == "" || owner != person {
		return a, errNoAsset
	}
	return a, nil
}

func ownerOf(a *domain.Asset) string {
	switch {
	case a.Stored != nil:
		return a.Stored.User
	case a.Requested != nil:
		return a.Requested.User
	}
	return ""
}

func (u *Uploads) fold(ctx context.Context, asset string) (domain.Asset, error) {
	cs, err := u.streams.read(ctx, events.Asset(asset))
	return domain.FoldAsset(cs), err
}

// Resume says where the parts of an upload that are missing are sent, and which are there.
func (u *Uploads) Resume(ctx context.Context, person, asset string) (Upload, error) {
	a, err := u.Asset(ctx, person, asset)
	if err != nil {
		return Upload{}, err
	}
	if a.Status != domain.AssetPending {
		return Upload{}, domain.Errorf(domain.CodeConflict, "the upload is over: %s", a.Status)
	}
	if arrived, err := u.arrived(ctx, asset, a.Requested); err != nil || arrived {
		return Upload{}, errors.Join(err, errArrived)
	}
	up, err := u.upload(ctx, asset, a.Requested)
	if err == nil && up.Staged.Parts() > 1 {
		up.Sent, err = u.intake.Sent(ctx, up.Staged)
		if errors.Is(err, ErrNoUpload) { // a call to complete it was cut after its parts were put together
			return up, errArrived
		}
	}
	return up, refuseDown(err)
}

var errArrived = domain.Errorf(domain.CodeConflict, "all of it has arrived: complete it")

// arrived reports whether all bytes stand in the store as one object: a completion began, and a crash cut it.
func (u *Uploads) arrived(ctx context.Context, asset string, d *events.AssetUploadRequestedData) (bool, error) {
	for _, key := range []string{StagedPrefix + asset, d.Key} {
		switch o, err := u.objects.Head(ctx, key); {
		case err == nil && (key == d.Key || o.Size == d.Size):
			return true, nil
		case err != nil && !errors.Is(err, ErrNoObject):
			return false, refuseDown(err)
		}
	}
	return false, nil
}

func (r *UploadRequest) check() (media.Type, error) {
	kind, ok := media.ByContentType(r.ContentType)
	if !ok {
		var known []string
		for _, t := range media.Types {
			known = append(known, t.ContentType)
		}
		return kind, domain.Errorf(domain.CodeBadRequest, "content_type: must be one of %s", strings.Join(known, ", "))
	}
	switch {
	case r.Size < 1:
		return kind, domain.Errorf(domain.CodeBadRequest, "size: must be the number of bytes, at least 1")
	case r.Size > kind.MaxBytes():
		return kind, domain.Errorf(domain.CodeTooLarge, "size: a file of type %s has at most %d bytes", kind.ContentType, kind.MaxBytes())
	case len(r.Name) > maxUploadName || !utf8.ValidString(r.Name):
		return kind, domain.Errorf(domain.CodeBadRequest, "name: must be UTF-8 of at most %d bytes", maxUploadName)
	case strings.ContainsAny(r.Name, `/\`) || strings.ContainsFunc(r.Name, unicode.IsControl) || r.Name == ".." || r.Name == ".":
		return kind, domain.Errorf(domain.CodeBadRequest, "name: must be a file's name, without folders")
	}
	return kind, nil
}

// safeName is what is kept of a file's name: letters, digits, "-" and "_", and the ending of what the file is.
func safeName(name, ext string) string {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		name = name[:i]
	}
	var b strings.Builder
	for _, c := range name {
		switch {
		case b.Len() >= maxKeptName:
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_':
			b.WriteRune(c)
		default:
			if s := b.String(); s != "" && !strings.HasSuffix(s, "-") {
				b.WriteByte('-')
			}
		}
	}
	if s := strings.Trim(b.String(), "-"); s != "" {
		return s + "." + ext
	}
	return "file." + ext
}

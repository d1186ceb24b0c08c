package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/api/auth"
	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/domain"
	"github.com/infinite-kanvas/kanvas/events"
	"github.com/infinite-kanvas/kanvas/projections"
)

const (
	putsPerAddress = 16 // parts that are sent to this server at once
	putsPerNode    = 256
	retryPut       = 2 * time.Second
	// slowestUpload is how many bytes a second a part must come with; uploadGrace is on top.
	slowestUpload = 32 << 10
	uploadGrace   = time.Minute

	roomAssetsPage    = 500
	maxRoomAssetsPage = 1000
)

// Uploads is the road of files. *commands.Uploads implements it.
type Uploads interface {
	Request(ctx context.Context, person string, r commands.UploadRequest) (commands.Upload, error)
	Resume(ctx context.Context, person, asset string) (commands.Upload, error)
	Complete(ctx context.Context, person, asset string, etags []string) (domain.Asset, error)
	Discard(ctx context.Context, person, asset string) error
}

// assetJSON is an Asset.
type assetJSON struct {
	ID          string            `json:"id"`
	Status      string            `json:"status"`
	URL         string            `json:"url"`
	ContentType string            `json:"content_type"`
	Size        int64             `json:"size"`
	Width       int               `json:"width,omitempty"`
	Height      int               `json:"height,omitempty"`
	SHA256      string            `json:"sha256,omitempty"`
	Variants    map[string]string `json:"variants,omitempty"`
	Placeholder string            `json:"placeholder,omitempty"`
}

func newAssetJSON(id, status, contentType string, size int64) assetJSON {
	return assetJSON{ID: id, Status: status, URL: "/v1/assets/" + id, ContentType: contentType, Size: size}
}

func (j *assetJSON) variants(list []events.AssetVariant) {
	for _, v := range list {
		if j.Variants == nil {
			j.Variants = map[string]string{}
		}
		size := strconv.Itoa(v.Size)
		j.Variants[size] = j.URL + "?size=" + size
	}
}

func assetOf(id string, a *domain.Asset) assetJSON {
	j := newAssetJSON(id, string(a.Status), a.Stored.ContentType, a.Stored.Size)
	j.Width, j.Height, j.SHA256 = a.Stored.Width, a.Stored.Height, a.Stored.SHA256
	if a.Processed != nil {
		j.Placeholder = a.Processed.Placeholder
		j.variants(a.Processed.Variants)
	}
	return j
}

func assetOfRow(row *projections.AssetRow) assetJSON {
	j := newAssetJSON(row.ID, row.Status, row.ContentType, row.Size)
	j.Width, j.Height, j.SHA256, j.Placeholder = row.Width, row.Height, row.SHA256, row.Placeholder
	j.variants(variantsOf(row))
	return j
}

// variantsOf are the smaller pictures of an asset. A row that can't be read has none: they are made again.
func variantsOf(row *projections.AssetRow) (list []events.AssetVariant) {
	if row.Variants == "" || json.Unmarshal([]byte(row.Variants), &list) != nil {
		return nil
	}
	return list
}

// uploadJSON says where the bytes go: Method, URL and Headers, or PartSize and Parts.
type uploadJSON struct {
	Method    string            `json:"method,omitempty"`
	URL       string            `json:"url,omitempty"`
	Headers   map[string]string `json:"headers,omitempty"`
	PartSize  int64             `json:"part_size,omitempty"`
	Parts     []partJSON        `json:"parts,omitempty"`
	ExpiresAt string            `json:"expires_at"`
}

type partJSON struct {
	Number int    `json:"number"`
	URL    string `json:"url"`
	ETag   string `json:"etag,omitempty"` // it is there
}

// answerUpload tells where the bytes are sent.
func (a *API) answerUpload(c echo.Context, status int, u commands.Upload) error {
	puts := u.Puts
	if puts == nil {
		puts = a.signParts(c, u)
	}
	up := uploadJSON{ExpiresAt: u.Expires.UTC().Format(time.RFC3339)}
	if len(puts) == 1 {
		up.Method, up.URL, up.Headers = puts[0].Method, puts[0].URL, map[string]string{}
		for name, values := range puts[0].Header {
			if name != "Host" && name != "Content-Length" { // the client's own business
				up.Headers[name] = values[0]
			}
		}
	} else {
		up.PartSize = commands.UploadPartSize
		for i, p := range puts {
			up.Parts = append(up.Parts, partJSON{Number: i + 1, URL: p.URL, ETag: u.Sent[i+1]})
		}
	}
	return a.marshal(c, status, map[string]any{"asset": newAssetJSON(u.Asset, string(domain.AssetPending), u.Staged.ContentType, u.Staged.Size), "upload": up})
}

func (a *API) marshal(c echo.Context, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	return a.json(c, status, b)
}

// signParts makes the addresses of parts that are sent to this server.
func (a *API) signParts(c echo.Context, u commands.Upload) []commands.SignedPut {
	var puts []commands.SignedPut
	for n := range u.Staged.Parts() {
		p := auth.UploadPart{Asset: u.Asset, Part: n + 1, ContentType: u.Staged.ContentType, Total: u.Staged.Size, Expires: u.Expires}
		puts = append(puts, commands.SignedPut{Method: http.MethodPut, Header: http.Header{"Content-Type": {u.Staged.ContentType}},
			URL: a.origin(c) + "/v1/uploads/" + u.Asset + "/" + strconv.Itoa(n+1) + "?" + a.cfg.UploadSigner.Query(p)})
	}
	return puts
}

// createAsset is POST /v1/assets.
func (a *API) createAsset(c echo.Context) error {
	q := requestOf(c)
	if err := q.signedIn(); err != nil {
		return err
	}
	body, err := readBody(c, maxBody)
	if err != nil {
		return err
	}
	var r commands.UploadRequest
	err = decodeMembers(body, member{"name", &r.Name, false}, member{"content_type", &r.ContentType, true}, member{"size", &r.Size, true}, member{"room_id", &r.Room, false})
	if err != nil {
		return err
	}
	if r.Room != "" {
		if err := a.mayAdd(c, r.Room); err != nil {
			return err
		}
	}
	u, err := a.cfg.Uploads.Request(c.Request().Context(), q.user, r)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Location", "/v1/assets/"+u.Asset)
	return a.answerUpload(c, http.StatusCreated, u)
}

// mayAdd refuses who may not add elements to the room.
func (a *API) mayAdd(c echo.Context, room string) error {
	if !domain.ValidRoomID(room) {
		return badRequest("room_id: is no room's id")
	}
	v, err := a.cfg.Rooms.View(c.Request().Context(), room)
	if err != nil {
		return err
	}
	role, err := v.RoleOf(requestOf(c).actor().ID)
	if err != nil {
		return err
	}
	if !domain.Allowed(role, (domain.AddElement{}).CommandName()) {
		return domain.Errorf(domain.CodeForbidden, "this is not for the role %s", role)
	}
	return nil
}

func assetParam(c echo.Context) (string, error) {
	if err := requestOf(c).signedIn(); err != nil {
		return "", err
	}
	id := c.Param("id")
	if !events.ValidStreamID(id) {
		return "", errNoAsset
	}
	return id, nil
}

// resumeAsset is GET /v1/assets/:id/upload.
func (a *API) resumeAsset(c echo.Context) error {
	id, err := assetParam(c)
	if err != nil {
		return err
	}
	u, err := a.cfg.Uploads.Resume(c.Request().Context(), requestOf(c).user, id)
	if err != nil {
		return err
	}
	return a.answerUpload(c, http.StatusOK, u)
}

// completeAsset is POST /v1/assets/:id/complete.
func (a *API) completeAsset(c echo.Context) error {
	id, err := assetParam(c)
	if err != nil {
		return err
	}
	etags, err := readParts(c)
	if err != nil {
		return err
	}
	asset, err := a.cfg.Uploads.Complete(c.Request().Context(), requestOf(c).user, id, etags)
	if err != nil {
		return err
	}
	return a.marshal(c, http.StatusOK, assetOf(id, &asset))
}

// readParts reads {"parts":[{"number","etag"}]}, in any order; an empty body lists none.
func readParts(c echo.Context) ([]string, error) {
	if c.Request().ContentLength == 0 {
		return nil, nil
	}
	body, err := readBody(c, maxBody)
	if err != nil {
		return nil, err
	}
	var list []json.RawMessage
	if err := decodeMembers(body, member{"parts", &list, false}); err != nil {
		return nil, err
	}
	etags := make([]string, len(list))
	for _, raw := range list {
		var number int
		var etag string
		if err := decodeMembers(raw, member{"number", &number, true}, member{"etag", &etag, true}); err != nil {
			return nil, err
		}
		if number < 1 || number > len(list) || etags[number-1] != "" || etag == "" {
			return nil, badRequest("parts: must list each part once, by numbers from 1")
		}
		etags[number-1] = etag
	}
	return etags, nil
}

// deleteAsset is DELETE /v1/assets/:id.
func (a *API) deleteAsset(c echo.Context) error {
	id, err := assetParam(c)
	if err != nil {
		return err
	}
	if err := a.cfg.Uploads.Discard(c.Request().Context(), requestOf(c).user, id); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// receivePart is PUT /v1/uploads/:id/:part: bytes of an upload, by an address that createAsset has signed.
func (a *API) receivePart(c echo.Context) error {
	r := c.Request()
	p, err := a.cfg.UploadSigner.Verify(c.Param("id"), c.Param("part"), r.URL.Query(), a.cfg.Clock())
	switch {
	case errors.Is(err, auth.ErrUploadExpired):
		return domain.Errorf(domain.CodeForbidden, "the address has expired; ask for the upload again")
	case err != nil, a.cfg.Receiver == nil:
		return domain.Errorf(domain.CodeForbidden, "the address is not one of this server's")
	}
	staged := commands.Staged{Key: commands.StagedPrefix + p.Asset, ContentType: p.ContentType, Size: p.Total}
	_, size := staged.Part(p.Part)
	if r.ContentLength != size || r.Header.Get("Content-Encoding") != "" {
		return badRequest("Content-Length: this part has %d bytes", size)
	}
	if kind := r.Header.Get("Content-Type"); staged.Parts() == 1 && kind != p.ContentType {
		return badRequest("Content-Type: %s was announced", p.ContentType)
	}
	leave, err := a.puts.enter(auth.AddressKey(requestOf(c).client))
	if err != nil {
		return err
	}
	defer leave()
	control := http.NewResponseController(c.Response().Writer)
	deadline := time.Now().Add(uploadGrace + time.Duration(size/slowestUpload)*time.Second)
	if err := control.SetReadDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("set deadline of part: %w", err)
	}
	etag, err := a.cfg.Receiver.Receive(r.Context(), staged, p.Part, &bodyReader{r: r.Body})
	var cut *bodyError
	switch {
	case errors.As(err, &cut):
		return badRequest("the body ended early or was sent too slowly")
	case errors.Is(err, commands.ErrNoUpload):
		return domain.Errorf(domain.CodeNotFound, "the upload is over")
	case errors.Is(err, commands.ErrUploadBusy):
		return domain.Errorf(domain.CodeConflict, "this part is being sent, or the upload is being completed")
	case err != nil:
		return err
	}
	if err := control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("clear deadline of part: %w", err)
	}
	c.Response().Header().Set("ETag", `"`+etag+`"`)
	return c.NoContent(http.StatusOK)
}

// bodyReader tells a body that is cut from a store that fails.
type bodyReader struct {
	r interface{ Read([]byte) (int, error) }
}

type bodyError struct{ error }

func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err.Error() != "EOF" {
		err = &bodyError{err}
	}
	return n, err
}

// listRoomAssets is GET /v1/rooms/:id/assets: what a page wants to know of pictures before it loads them.
func (a *API) listRoomAssets(c echo.Context) error {
	room, _, _, err := a.enter(c)
	if err != nil {
		return err
	}
	limit := roomAssetsPage
	if s := c.QueryParam("limit"); s != "" {
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 || limit > maxRoomAssetsPage {
			return badRequest("limit: is not 1 to %d", maxRoomAssetsPage)
		}
	}
	rows, err := a.cfg.Queries.RoomAssets(c.Request().Context(), room, c.QueryParam("cursor"), limit)
	if err != nil {
		return err
	}
	answer := struct {
		Assets []assetJSON `json:"assets"`
		Next   string      `json:"next_cursor,omitempty"`
	}{Assets: []assetJSON{}}
	for i := range rows {
		answer.Assets = append(answer.Assets, assetOfRow(&rows[i]))
	}
	if len(rows) == limit {
		answer.Next = rows[len(rows)-1].ID
	}
	return a.marshal(c, http.StatusOK, answer)
}

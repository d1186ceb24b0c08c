package events

import "encoding/json"

// Sealed is personal text encrypted under a key of the person (see commands.Sealer): "k1." and base64url of nonce and ciphertext.
// The empty Sealed is the empty text.
type Sealed string

// Payloads of room streams, newest versions. Version 1 unless said otherwise in registry.go.
type (
	RoomCreatedData struct {
		Name        string `json:"name"`
		Description string `json:"description,omitempty"`
		Visibility  string `json:"visibility"`      // public, unlisted, private
		DefaultRole string `json:"default_role"`    // role of who enters a public or unlisted room
		Owner       string `json:"owner,omitempty"` // user id; empty for rooms born by an anonymous connection
	}
	// RoomUpdatedData holds the members that changed; nil did not.
	RoomUpdatedData struct {
		Name        *string `json:"name,omitempty"`
		Description *string `json:"description,omitempty"`
		Visibility  *string `json:"visibility,omitempty"`
		DefaultRole *string `json:"default_role,omitempty"`
	}
	RoomDeletedData struct{}
	// RoomCheckpointedData asks projections to keep the room's state as of Revision (the revision before this event).
	RoomCheckpointedData struct {
		Revision uint64 `json:"revision"`
	}
	ParticipantJoinedData struct {
		User string `json:"user_id"`
		Role string `json:"role"`
	}
	ParticipantRoleChangedData struct {
		User string `json:"user_id"`
		Role string `json:"role"`
	}
	ParticipantRemovedData struct {
		User string `json:"user_id"`
	}
	// RoomTransferredData: Owner is the room's owner_id from now on; roles have events of their own.
	RoomTransferredData struct {
		Owner string `json:"owner_id"`
	}
	// RoomKeyRotatedData: links to the room's pictures which anybody may open are made with its Key-th key from now on, and no other is good. It is
	// only a number: the keys themselves are made of a secret that is not in the log.
	RoomKeyRotatedData struct {
		Key uint64 `json:"key"` // rooms begin with 0
	}
	// InviteCreatedData: Hash is the hex SHA-256 of the code, which is nowhere else.
	InviteCreatedData struct {
		ID        string `json:"id"`
		Hash      string `json:"hash"`
		Role      string `json:"role"`
		ExpiresAt int64  `json:"expires_at,omitempty"` // Unix ms; 0: never
		Uses      int    `json:"uses,omitempty"`       // how many people it lets in; 0: any number
	}
	InviteRevokedData struct {
		ID string `json:"id"`
	}
	// InviteRedeemedData counts a use; the person's role has an event of its own in the same commit.
	InviteRedeemedData struct {
		ID   string `json:"id"`
		User string `json:"user_id"`
	}
	// ElementAddedData carries the whole stored element, canonical (see domain.Element), its id, type and z included.
	ElementAddedData struct {
		Element json.RawMessage `json:"element"`
	}
	// Member is one property of an element: Value is compact JSON.
	Member struct {
		Key   string
		Value json.RawMessage
	}
	// Members is a JSON object whose order is kept sorted by key; keys are unique.
	Members []Member
	// ElementPatchedData sets and unsets properties, each on its own.
	ElementPatchedData struct {
		ID    string   `json:"id"`
		Set   Members  `json:"set,omitempty"`
		Unset []string `json:"unset,omitempty"`
	}
	// ElementRemovedData is version 2; version 1 had one "id".
	ElementRemovedData struct {
		IDs []string `json:"ids"`
	}
	// ChatPostedData: the message's id is the event's. Name, Color and UserID are set for people without a user stream
	// (old clients without a token): what the others were shown.
	ChatPostedData struct {
		Text   Sealed `json:"text"`
		Name   Sealed `json:"name,omitempty"`
		Color  string `json:"color,omitempty"`
		UserID string `json:"user_id,omitempty"`
	}
	CommentAddedData struct {
		ID        string   `json:"id"`
		ElementID string   `json:"element_id,omitempty"`
		X         *float64 `json:"x,omitempty"`
		Y         *float64 `json:"y,omitempty"`
		Text      Sealed   `json:"text"`
	}
	CommentResolvedData struct {
		ID string `json:"id"`
	}
)

// Payloads of user and asset streams.
type (
	// UserCreatedData: Kind is "guest", "local" (kanvas token) or "clerk". Version 2 has AsOf.
	UserCreatedData struct {
		Kind   string `json:"kind"`
		Name   Sealed `json:"name"`
		Email  Sealed `json:"email,omitempty"`
		Avatar Sealed `json:"avatar,omitempty"`
		Color  string `json:"color"`           // #RRGGBB
		AsOf   int64  `json:"as_of,omitempty"` // when the directory that this comes from last changed it, Unix ms by its clock; 0: not known
	}
	// UserUpdatedData holds the members that changed; nil did not. Version 2 has AsOf, see UserCreatedData.
	UserUpdatedData struct {
		Name   *Sealed `json:"name,omitempty"`
		Email  *Sealed `json:"email,omitempty"`
		Avatar *Sealed `json:"avatar,omitempty"`
		Color  *string `json:"color,omitempty"`
		AsOf   int64   `json:"as_of,omitempty"`
	}
	UserDeletedData struct{}
	// UserClaimedData: the guest turned out to be By, a user, for good.
	UserClaimedData struct {
		By string `json:"by"`
	}
	// UserLinkedData: the user claimed a guest.
	UserLinkedData struct {
		Guest string `json:"guest_id"`
	}
	// AssetStoredData: the bytes are in the object store under Key, complete, before this event is.
	AssetStoredData struct {
		User        string `json:"user_id"`
		Room        string `json:"room_id,omitempty"`
		Key         string `json:"key"`
		ContentType string `json:"content_type"`
		Size        int64  `json:"size"` // bytes
		SHA256      string `json:"sha256"`
		Width       int    `json:"width,omitempty"` // pixels; 0 unknown
		Height      int    `json:"height,omitempty"`
	}
	// AssetAttachedData: an element of the room showed the asset from Revision of the room on.
	AssetAttachedData struct {
		Room     string `json:"room_id"`
		Revision uint64 `json:"revision"`
	}
	// AssetUploadRequestedData: User may send the bytes until ExpiresAt; then the upload is given up.
	AssetUploadRequestedData struct {
		User        string `json:"user_id"`
		Room        string `json:"room_id,omitempty"`
		Key         string `json:"key"` // of the object once it is stored
		ContentType string `json:"content_type"`
		Size        int64  `json:"size"`             // bytes, as announced
		Upload      string `json:"upload,omitempty"` // the store's id of an upload in parts
		ExpiresAt   int64  `json:"expires_at"`       // Unix ms
	}
	// AssetFailedData: nothing of the upload is kept.
	AssetFailedData struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}
	// AssetVariant is a smaller picture of the same.
	AssetVariant struct {
		Size        int    `json:"size"` // what the longer side is at most, by which it is asked for
		Key         string `json:"key"`
		ContentType string `json:"content_type"`
		Width       int    `json:"width"` // pixels
		Height      int    `json:"height"`
		Bytes       int64  `json:"bytes"`
	}
	// AssetProcessedData: the variants are stored. Version 1 may come again, and then replaces what was before.
	AssetProcessedData struct {
		Variants    []AssetVariant `json:"variants,omitempty"`
		Placeholder string         `json:"placeholder,omitempty"` // a few bytes of blur as a data URL
	}
	// AssetMarkedUnusedData: where nothing shows it until DeleteAfter, it is deleted.
	AssetMarkedUnusedData struct {
		DeleteAfter int64 `json:"delete_after"` // Unix ms
	}
	AssetUsedAgainData struct{}
	// AssetDeletedData: the bytes are gone, or are about to be.
	AssetDeletedData struct{}
)

package events

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func ptr[T any](v T) *T { return &v }

// sampleSum stands for the sum of a commit before.
var sampleSum = strings.Repeat("0123456789abcdef", 4)

const sampleAt = 1767225600123 // 2026-01-01T00:00:00.123Z

func sampleID(n int) string { return fmt.Sprintf("0198a5c4-7d00-7000-8000-%012x", n) }

// versioned names one shape that was ever written.
type versioned struct {
	Type Type
	V    int
}

func (v versioned) file() string { return fmt.Sprintf("testdata/golden/%s.v%d.json", v.Type, v.V) }

// allVersions lists every shape in the registry.
func allVersions() []versioned {
	var list []versioned
	for _, t := range Types() {
		for v := 1; v <= CurrentVersion(t); v++ {
			list = append(list, versioned{t, v})
		}
	}
	return list
}

// samplePayloads holds events of each type in its current version, with as many members set as there are, and as few.
var samplePayloads = map[Type][]any{
	RoomCreated: {
		&RoomCreatedData{Name: "Plans", Description: "a \"quoted\" line\nand <another> 😀", Visibility: "public", DefaultRole: "editor", Owner: "user_1"},
		&RoomCreatedData{Name: "", Visibility: "private", DefaultRole: "viewer"},
	},
	RoomUpdated: {
		&RoomUpdatedData{Name: ptr("New"), Description: ptr(""), Visibility: ptr("unlisted"), DefaultRole: ptr("commenter")},
		&RoomUpdatedData{Name: ptr("Only this")},
	},
	RoomTransferred: {&RoomTransferredData{Owner: "user_2"}},
	RoomKeyRotated:  {&RoomKeyRotatedData{Key: 1}},
	InviteCreated: {
		&InviteCreatedData{ID: "0198a5c4-7d00-7000-8000-00000000000a", Hash: sampleSum, Role: "viewer", ExpiresAt: sampleAt, Uses: 3},
		&InviteCreatedData{ID: "0198a5c4-7d00-7000-8000-00000000000b", Hash: sampleSum, Role: "editor"},
	},
	InviteRevoked:          {&InviteRevokedData{ID: "0198a5c4-7d00-7000-8000-00000000000a"}},
	InviteRedeemed:         {&InviteRedeemedData{ID: "0198a5c4-7d00-7000-8000-00000000000a", User: "user_2"}},
	RoomDeleted:            {&RoomDeletedData{}},
	RoomCheckpointed:       {&RoomCheckpointedData{Revision: 500}},
	ParticipantJoined:      {&ParticipantJoinedData{User: "user_1", Role: "editor"}},
	ParticipantRoleChanged: {&ParticipantRoleChangedData{User: "user_1", Role: "viewer"}},
	ParticipantRemoved:     {&ParticipantRemovedData{User: "user_1"}},
	ElementAdded: {
		&ElementAddedData{Element: json.RawMessage(`{"id":"el-1","type":"text","z":"a0","text":"h\u00e9 <b> \"x\" 😀","unknown":{"deep":[1,2.50,-3e-7,null,true]},"x":1.0}`)},
		&ElementAddedData{Element: json.RawMessage(`{"id":"el-2","type":"note","z":"a1"}`)},
	},
	ElementPatched: {
		&ElementPatchedData{ID: "el-1", Set: Members{{"a\"b", json.RawMessage(`"v"`)}, {"fill", json.RawMessage(`"#ff0000"`)}, {"points", json.RawMessage(`[1,2,3.5]`)}, {"x", json.RawMessage(`-12.5`)}}, Unset: []string{"shadow", "y"}},
		&ElementPatchedData{ID: "el-2", Set: Members{{"x", json.RawMessage(`0`)}}},
		&ElementPatchedData{ID: "el-3", Unset: []string{"x"}},
	},
	ElementRemoved: {&ElementRemovedData{IDs: []string{"el-1", "el-2"}}, &ElementRemovedData{IDs: []string{"el-3"}}},
	ChatPosted: {
		&ChatPostedData{Text: "k1.c2VhbGVk", Name: "k1.bmFtZQ", Color: "#00ff00", UserID: "anon-1"},
		&ChatPostedData{Text: "k1.c2VhbGVk"},
	},
	CommentAdded: {
		&CommentAddedData{ID: "c-1", ElementID: "el-1", X: ptr(1.5), Y: ptr(-2e21), Text: "k1.dGV4dA"},
		&CommentAddedData{ID: "c-2", Text: "k1.dGV4dA"},
	},
	CommentResolved: {&CommentResolvedData{ID: "c-1"}},
	GenerationRequested: {
		&GenerationRequestedData{ID: "g-1", Model: "fal-ai/flux/dev", Request: "k1.cQ", Result: "image", Element: "el-1", Added: true, Estimate: 25000, RetryOf: "g-0", Assets: []string{"asset:a-1", "asset:a-2"}},
		&GenerationRequestedData{ID: "g-2", Model: "fal-ai/evf-sam", Request: "k1.cQ", Result: "image", Element: "el-2", Estimate: 1},
		&GenerationRequestedData{ID: "g-3", Model: "m", Request: "k1.cQ", Result: "video", Element: "el-3"},
	},
	GenerationSubmitting: {&GenerationSubmittingData{ID: "g-1", Attempt: 2}},
	GenerationUnsent:     {&GenerationUnsentData{ID: "g-1", Attempt: 2}},
	GenerationSubmitted: {&GenerationSubmittedData{ID: "g-1", RequestID: "r-1", StatusURL: "https://queue.fal.run/m/requests/r-1/status",
		ResponseURL: "https://queue.fal.run/m/requests/r-1", CancelURL: "https://queue.fal.run/m/requests/r-1/cancel"}},
	GenerationStarted: {&GenerationStartedData{ID: "g-1"}},
	GenerationSucceeded: {
		&GenerationSucceededData{ID: "g-1", Assets: []string{"asset:a-3", "asset:a-4"}, Seed: "18446744073709551615", Cost: 25000, DurationMS: 4321, Kept: true},
		&GenerationSucceededData{ID: "g-2", Assets: []string{"asset:a-5"}},
	},
	GenerationFailed: {
		&GenerationFailedData{ID: "g-1", Code: "content_policy", Detail: "the model refuses it", Said: "k1.cw", Retryable: true, Cost: 5},
		&GenerationFailedData{ID: "g-2", Code: "timeout", Detail: "no answer"},
	},
	GenerationCanceled: {&GenerationCanceledData{ID: "g-1", Open: true}, &GenerationCanceledData{ID: "g-2"}},
	GenerationUnknown:  {&GenerationUnknownData{ID: "g-1", Cost: 25000}},
	GenerationSettled: {
		&GenerationSettledData{ID: "g-1", Assets: []string{"asset:a-6"}, Seed: "7", Cost: 25000, DurationMS: 4321},
		&GenerationSettledData{ID: "g-2"},
	},
	UserCreated: {
		&UserCreatedData{Kind: "clerk", Name: "k1.bg", Email: "k1.ZQ", Avatar: "k1.YQ", Color: "#123456", AsOf: sampleAt},
		&UserCreatedData{Kind: "guest", Color: "#123456"},
	},
	UserUpdated: {
		&UserUpdatedData{Name: ptr(Sealed("k1.bg")), Email: ptr(Sealed("")), Avatar: ptr(Sealed("k1.YQ")), Color: ptr("#654321"), AsOf: sampleAt},
		&UserUpdatedData{Color: ptr("#654321")},
	},
	UserDeleted: {&UserDeletedData{}},
	UserClaimed: {&UserClaimedData{By: "user_1"}},
	UserLinked:  {&UserLinkedData{Guest: "guest_1"}},
	AssetStored: {
		&AssetStoredData{User: "user_1", Room: "room_1", Key: "assets/a/b.png", ContentType: "image/png", Size: 12345, SHA256: sampleSum, Width: 640, Height: 480},
		&AssetStoredData{User: "user_1", Key: "k", ContentType: "video/mp4", Size: 1, SHA256: sampleSum},
	},
	AssetAttached: {&AssetAttachedData{Room: "room_1", Revision: 7}},
	AssetUploadRequested: {
		&AssetUploadRequestedData{User: "user_1", Room: "room_1", Key: "images/user_1/01-a.png", ContentType: "image/png", Size: 12345, Upload: "u-1", ExpiresAt: sampleAt},
		&AssetUploadRequestedData{User: "user_1", Key: "k", ContentType: "video/mp4", Size: 1, ExpiresAt: sampleAt},
	},
	AssetFailed: {&AssetFailedData{Code: "bad_request", Detail: "the image/png is broken"}},
	AssetProcessed: {
		&AssetProcessedData{Variants: []AssetVariant{{Size: 256, Key: "variants/a-256", ContentType: "image/webp", Width: 256, Height: 128, Bytes: 999}}, Placeholder: "data:image/png;base64,AA=="},
		&AssetProcessedData{},
	},
	AssetMarkedUnused: {&AssetMarkedUnusedData{DeleteAfter: sampleAt}},
	AssetUsedAgain:    {&AssetUsedAgainData{}},
	AssetDeleted:      {&AssetDeletedData{}},
	SpendingRecorded: {
		&SpendingRecordedData{ID: "0198a5c4-7d00-7000-8000-00000000000c", User: "user_1", Model: "fal-ai/flux-kontext-lora", Estimate: 140_000, Cost: 35_000,
			At: sampleAt, Outcome: "done", DurationMS: 2_300, Job: "764cabcf-b745-4b3e-ae38-1200304cf45b"},
		&SpendingRecordedData{ID: "0198a5c4-7d00-7000-8000-00000000000d", Model: "fal-ai/evf-sam", Estimate: 10_000, At: sampleAt, Outcome: "refused"},
	},
}

// sampleOld holds data of versions that are not written any more, and what it is today.
var sampleOld = map[versioned][]struct {
	data json.RawMessage
	now  any
}{
	{ElementRemoved, 1}: {{json.RawMessage(`{"id":"el-1"}`), &ElementRemovedData{IDs: []string{"el-1"}}}},
	{UserCreated, 1}: {
		{json.RawMessage(`{"kind":"clerk","name":"k1.bg","email":"k1.ZQ","avatar":"k1.YQ","color":"#123456"}`),
			&UserCreatedData{Kind: "clerk", Name: "k1.bg", Email: "k1.ZQ", Avatar: "k1.YQ", Color: "#123456"}},
		{json.RawMessage(`{"kind":"guest","name":"","color":"#123456"}`), &UserCreatedData{Kind: "guest", Color: "#123456"}},
	},
	{UserUpdated, 1}: {
		{json.RawMessage(`{"name":"k1.bg","email":"","avatar":"k1.YQ","color":"#654321"}`),
			&UserUpdatedData{Name: ptr(Sealed("k1.bg")), Email: ptr(Sealed("")), Avatar: ptr(Sealed("k1.YQ")), Color: ptr("#654321")}},
		{json.RawMessage(`{"color":"#654321"}`), &UserUpdatedData{Color: ptr("#654321")}},
	},
	{SpendingRecorded, 1}: {
		{json.RawMessage(`{"id":"0198a5c4-7d00-7000-8000-00000000000c","user":"user_1","model":"fal-ai/flux-kontext-lora","estimate":140000,"cost":35000,"at":1767225600123,"outcome":"done","duration_ms":2300}`),
			&SpendingRecordedData{ID: "0198a5c4-7d00-7000-8000-00000000000c", User: "user_1", Model: "fal-ai/flux-kontext-lora", Estimate: 140_000, Cost: 35_000,
				At: sampleAt, Outcome: "done", DurationMS: 2_300}},
		{json.RawMessage(`{"id":"0198a5c4-7d00-7000-8000-00000000000d","model":"fal-ai/evf-sam","estimate":10000,"cost":0,"at":1767225600123,"outcome":"refused"}`),
			&SpendingRecordedData{ID: "0198a5c4-7d00-7000-8000-00000000000d", Model: "fal-ai/evf-sam", Estimate: 10_000, At: sampleAt, Outcome: "refused"}},
	},
}

// sampleCommit makes the commit of a golden file. Types with more than one sample have all optional members of the envelope, too.
func sampleCommit(tb testing.TB, v versioned) *Commit {
	tb.Helper()
	c := &Commit{First: 1, At: sampleAt}
	add := func(e Event) {
		e.ID, e.Type, e.V, e.Actor = sampleID(len(c.Events)+1), v.Type, v.V, "user_1"
		c.Events = append(c.Events, e)
	}
	switch old, ok := sampleOld[v]; {
	case ok:
		for _, o := range old {
			add(Event{Data: o.data})
		}
	case v.V == CurrentVersion(v.Type) && len(samplePayloads[v.Type]) > 0:
		for _, p := range samplePayloads[v.Type] {
			add(Event{Payload: p})
		}
	default:
		tb.Fatalf("no sample of %s version %d", v.Type, v.V)
	}
	if len(c.Events) == 1 {
		return c
	}
	c.First, c.Prev = 42, sampleSum
	e := &c.Events[1]
	e.Actor, e.Client, e.Seq, e.Cause, e.Step, e.Cont = "anon:7", "client-1", 9, CauseUndo, 40, true
	c.Done = []Done{
		{User: "user_1", Client: "client-1", Seq: 8, First: 42, Last: 42, Dropped: []string{"el-9", "el-\"8\""}},
		{User: "anon:7", Key: "key-1", Hash: sampleSum, First: 44, Last: 43},
	}
	c.Part = &Part{Op: "op-1", Part: 1, Of: 3}
	return c
}

func mustEncode(tb testing.TB, c *Commit) []byte {
	tb.Helper()
	b, err := Encode(c)
	if err != nil {
		tb.Fatalf("encode: %v", err)
	}
	return b
}

func mustDecode(tb testing.TB, b []byte) *Commit {
	tb.Helper()
	c, err := Decode(b)
	if err != nil {
		tb.Fatalf("decode %s: %v", b, err)
	}
	return c
}

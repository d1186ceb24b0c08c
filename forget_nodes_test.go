package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/infinite-kanvas/kanvas/infra/clerk/clerktest"
	"github.com/infinite-kanvas/kanvas/infra/edge/edgetest"
)

// TestDeletedByClerkIsForgottenOnEveryNode: the webhook tells one of two nodes on one log; the other ends the person's sockets too, refuses their token,
// forgets what it remembers and scrubs its own tables; D1 follows.
func TestDeletedByClerkIsForgottenOnEveryNode(t *testing.T) {
	d1 := edgetest.Shared(t)
	withD1(t, d1, d1.URL)
	nodes := startNodes(t, 2, "127.0.0.1:0", "CLERK_WEBHOOK_SECRET="+clerkWebhook, "CLERK_JWKS_URL=http://127.0.0.1:1/none")
	w := &forgetWorld{t: t, dir: nodes[0].dataDir(), clerk: clerktest.Start(t), s: nodes[0], words: []string{"Annabelle", "annabelle@wordsworth", "anns-chat-word", "anns-comment-word"}}
	far := *w
	far.s, far.dir = nodes[1], nodes[1].dataDir()
	w.tell("user.created", `{"id":"user_ann","first_name":"Annabelle","primary_email_address_id":"e1","email_addresses":[{"id":"e1","email_address":"annabelle@wordsworth.example"}],"updated_at":200}`)
	ann, err := tokenOf(w.dir, "user_ann")
	if err != nil {
		t.Fatal(err)
	}
	w.ann = ann
	w.bob, w.bobID = w.newGuest("Bob Staywell")
	far.bob = w.bob
	w.call("POST", "/v1/rooms", w.ann, 201, map[string]any{"id": "studio", "name": "Studio", "visibility": "public"}, nil)
	w.call("POST", "/v1/rooms", w.ann, 201, map[string]any{"id": "anns", "name": "Gallery", "visibility": "public"}, nil)
	w.command(w.ann, "chat.post", map[string]any{"text": "anns-chat-word"})
	w.command(w.ann, "comment.add", map[string]any{"id": "c1", "x": 1, "y": 2, "text": "anns-comment-word"})
	w.command(w.bob, "chat.post", map[string]any{"text": "bobs-chat-stays"})
	v1 := dialAs(t, "ws://"+far.s.addr+"/v1/rooms/studio/ws", "kanvas.v1")
	v1.say(t, map[string]any{"type": "hello", "token": w.ann, "client": "a"})
	v1.until(t, `"type":"presence","online"`)
	old := dialAs(t, "ws://"+far.s.addr+"/parties/main/studio?_pk=aa&token="+w.ann, "")
	old.until(t, `"connection:info"`)
	stream := far.stream("/v1/rooms/studio/events", w.ann)
	if told := far.answers(); !strings.Contains(told, "anns-chat-word") || !strings.Contains(told, "Annabelle") {
		t.Error("the other node knows nothing of her: the test shows nothing")
	}
	until(t, "she is in D1", func() bool {
		return len(d1.Query(t, "SELECT 1 FROM users WHERE id = 'user_ann' AND name = 'Annabelle'")) == 1
	})

	w.tell("user.deleted", `{"id":"user_ann","deleted":true}`)
	v1.ends(t)
	old.ends(t)
	stream.ends(t)
	for _, node := range []*forgetWorld{w, &far} {
		if status, err := httpJSON("GET", node.url("/v1/me"), w.ann, nil, nil); status != 401 || err != nil {
			t.Errorf("her token: %d %v", status, err)
		}
		until(t, "nothing is left to do", func() bool {
			found, err := filepath.Glob(filepath.Join(node.dir, "forgotten"))
			return err == nil && len(found) == 1 && !pending(t, node.dir)
		})
		node.nothingFound("an answer of "+node.s.addr, node.answers())
		if hits := found(t, node.dir, w.words); len(hits) > 0 {
			t.Error(strings.Join(hits, "\n"))
		}
	}
	until(t, "she is not in D1 any more", func() bool {
		rows := d1.Query(t, "SELECT name, email, avatar_url FROM users WHERE id = 'user_ann'")
		return len(rows) == 1 && rows[0]["name"] == nil && rows[0]["email"] == "" && rows[0]["avatar_url"] == nil
	})
	for _, s := range slices.Backward(nodes) {
		s.stop()
	}
}

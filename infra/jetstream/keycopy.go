package jetstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/infinite-kanvas/kanvas/commands"
)

// Copied is one person's key outside of the store. A nil Key says that it was destroyed.
type Copied struct {
	Person string
	Key    []byte // 32 bytes
}

// Export yields everybody's key, unwrapped, and says who has none any more, sorted by person; it ends where yield returns an error. For backups: the
// caller seals what it gets.
func (k *Keys) Export(ctx context.Context, yield func(Copied) error) error {
	people, err := k.people(ctx)
	if err != nil {
		return err
	}
	for _, person := range people {
		key, ok, err := k.load(ctx, person)
		if err != nil {
			return fmt.Errorf("key of %q: %w", person, err)
		}
		if !ok {
			key = nil
		}
		if err := yield(Copied{person, key}); err != nil {
			return err
		}
	}
	return nil
}

// Imported is what became of a key that was brought back.
type Imported int

// What may become of one.
const (
	KeyRestored  Imported = iota
	KeySame               // it was there
	KeyDestroyed          // it was destroyed here, and stays so
	KeyOther              // the person has another key here, which stays: what was sealed under the one brought back can't be read
)

// Import brings back a person's key where there is none. It never takes the place of another, nor of one that was destroyed.
func (k *Keys) Import(ctx context.Context, c Copied) (Imported, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	if len(c.Key) != 32 {
		return 0, fmt.Errorf("the key of %q has %d bytes", c.Person, len(c.Key))
	}
	err := k.put(ctx, c.Person, c.Key)
	if err == nil {
		return KeyRestored, nil
	}
	if !errors.Is(err, commands.ErrSequence) {
		return 0, fmt.Errorf("key of %q: %w", c.Person, err)
	}
	key, ok, err := k.load(ctx, c.Person)
	switch {
	case err != nil:
		return 0, fmt.Errorf("key of %q: %w", c.Person, err)
	case !ok:
		return KeyDestroyed, nil
	case !bytes.Equal(key, c.Key):
		return KeyOther, nil
	}
	return KeySame, nil
}

// copied is how a Copied is written, one JSON line each.
type copied struct {
	Person    string `json:"person"`
	Key       []byte `json:"key,omitempty"`
	Destroyed bool   `json:"destroyed,omitempty"`
}

// MarshalJSON writes it for a backup.
func (c Copied) MarshalJSON() ([]byte, error) {
	return json.Marshal(copied{c.Person, c.Key, c.Key == nil})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (c *Copied) UnmarshalJSON(b []byte) error {
	var x copied
	if err := json.Unmarshal(b, &x); err != nil {
		return errors.New("no key of a person") // the error would quote it
	}
	if x.Person == "" || x.Destroyed == (len(x.Key) > 0) || len(x.Key) != 0 && len(x.Key) != 32 {
		return errors.New("no key of a person")
	}
	c.Person, c.Key = x.Person, x.Key
	if x.Destroyed {
		c.Key = nil
	}
	return nil
}

// String keeps the key out of logs.
func (c Copied) String() string { return "key of " + c.Person }

// GoString keeps the key out of logs.
func (c Copied) GoString() string { return c.String() }

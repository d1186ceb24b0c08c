package clerk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/infinite-kanvas/kanvas/commands"
)

// user is what is read of Clerk's User object, in webhooks and answers alike.
type user struct {
	ID        string `json:"id"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Username  string `json:"username"`
	ImageURL  string `json:"image_url"`
	UpdatedAt int64  `json:"updated_at"` // Unix ms
	CreatedAt int64  `json:"created_at"` // Unix ms
	PrimaryID string `json:"primary_email_address_id"`
	Emails    []struct {
		ID      string `json:"id"`
		Address string `json:"email_address"`
	} `json:"email_addresses"`
}

func (u *user) directory() commands.DirectoryUser {
	d := commands.DirectoryUser{ID: u.ID, Name: strings.TrimSpace(u.FirstName + " " + u.LastName), Avatar: u.ImageURL, AsOf: max(u.UpdatedAt, u.CreatedAt)}
	if d.Name == "" {
		d.Name = u.Username
	}
	for _, e := range u.Emails {
		if e.ID == u.PrimaryID {
			d.Email = e.Address
		}
	}
	return d
}

const (
	userTimeout = 3 * time.Second
	maxUser     = 512 << 10 // bytes; people have metadata
)

// Backend asks Clerk's Backend API.
type Backend struct {
	api, secret string
	client      *http.Client
}

// NewBackend needs a secret key.
func NewBackend(c Config) (*Backend, error) {
	c = c.withDefaults()
	if c.SecretKey == "" {
		return nil, errors.New("clerk: the Backend API needs a secret key")
	}
	return &Backend{strings.TrimSuffix(c.APIURL, "/"), c.SecretKey, c.Client}, nil
}

// User asks for one person.
func (b *Backend) User(ctx context.Context, id string) (commands.DirectoryUser, error) {
	ctx, cancel := context.WithTimeout(ctx, userTimeout)
	defer cancel()
	body, err := get(ctx, b.client, b.api+"/v1/users/"+url.PathEscape(id), b.secret, maxUser)
	if err != nil {
		return commands.DirectoryUser{}, fmt.Errorf("clerk: user: %w", err)
	}
	var u user
	if err := json.Unmarshal(body, &u); err != nil || u.ID != id {
		return commands.DirectoryUser{}, errors.New("clerk: user: the answer is not that user")
	}
	return u.directory(), nil
}

package provision

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloudflare/cloudflare-go/v7/accounts"
	"github.com/cloudflare/cloudflare-go/v7/user"

	"github.com/infinite-kanvas/kanvas/infra/cloudflare"
)

// lookAtToken sees that the token is alive and learns its id.
func (p *Provisioner) lookAtToken(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	id, status, err := VerifyToken(ctx, p.Client)
	if err != nil {
		return p.problem(areaToken, err, "verify the API token")
	}
	if status != "active" {
		return &Problem{Doing: "verify the API token", Err: fmt.Errorf("it is %s", status), Next: "make a new token at " + tokenPage}
	}
	p.tokenID = id
	return nil
}

// VerifyToken asks whether the token of the client is alive: of a user, or of the account.
func VerifyToken(ctx context.Context, c *cloudflare.Client) (id, status string, err error) {
	opts := c.Options(areaToken.service, cloudflare.Durable)
	err = c.Retry(ctx, func() error {
		res, err := user.NewTokenService(opts...).Verify(ctx)
		if err == nil {
			id, status = res.ID, string(res.Status)
		}
		return err
	})
	if !errors.Is(err, cloudflare.ErrDenied) {
		return id, status, err
	}
	var params accounts.TokenVerifyParams
	set(&params.AccountID.Value, &params.AccountID.Present, c.Account())
	if res, err := accounts.NewTokenService(opts...).Verify(ctx, params); err == nil { // a token of the account, not of a person
		return res.ID, string(res.Status), nil
	}
	return "", "", err // the first answer says more
}

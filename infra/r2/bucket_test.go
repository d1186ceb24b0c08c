package r2

import (
	"testing"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/infra/objects/objectstest"
	"github.com/infinite-kanvas/kanvas/infra/r2/s3test"
)

// open gives the bucket of a server of its own.
func open(t *testing.T) (*Bucket, *s3test.Server) {
	t.Helper()
	s := s3test.Start(t)
	b, err := Open(Config{Endpoint: s.Endpoint, AccessKey: s.AccessKey, SecretKey: s.SecretKey, Bucket: s.Bucket})
	if err != nil {
		t.Fatal(err)
	}
	return b, s
}

func TestBucket(t *testing.T) {
	objectstest.Test(t, func(t *testing.T) commands.Objects { b, _ := open(t); return b }, objectstest.Limits{Folders: true})
}

func TestIntake(t *testing.T) {
	objectstest.TestIntake(t, func(t *testing.T) (commands.Objects, commands.Intake) { b, _ := open(t); return b, Intake{b} })
}

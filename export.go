package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/infinite-kanvas/kanvas/commands"
)

// exportPerson is `kanvas export`.
func exportPerson(ctx context.Context, c *call) error {
	user := c.flag("user")
	if user == "" || len(c.args) != 1 {
		return errors.New("export: --user USER and one FILE are needed (see kanvas export --help)")
	}
	path, err := filepath.Abs(c.args[0]) // the server may run elsewhere
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return runOp(ctx, c, "export-person", []string{user, path})
}

// opExportPerson writes a person's archive. Its file holds what it held before, or all of it.
func (n *node) opExportPerson(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 2 {
		return errors.New("export: a user and a file are needed")
	}
	user, path := args[0], args[1]
	f, err := os.CreateTemp(filepath.Dir(path), ".export-*") // mode 0600
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	defer os.Remove(f.Name())
	personal := commands.NewPersonal(commands.PersonalConfig{People: n.people, Sealer: n.sealer, Rooms: n.rooms, Objects: n.objects, Scan: n.scan})
	err = personal.WriteZip(ctx, user, f)
	size, serr := f.Seek(0, io.SeekEnd)
	if err = errors.Join(err, serr, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	n.logger.Info("person_exported", "userId", user, "dataSize", size)
	_, err = fmt.Fprintf(out, "%s: %d bytes\n", path, size)
	return err
}

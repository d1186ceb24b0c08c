package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/infinite-kanvas/kanvas/infra/jetstream"
	"github.com/infinite-kanvas/kanvas/infra/keybackup"
)

// keysCommand is `kanvas keys …`.
func keysCommand(ctx context.Context, c *call) error {
	switch {
	case len(c.args) == 1 && c.args[0] == "rotate":
		return rotateKeys(ctx, c)
	case len(c.args) == 2 && c.args[0] == "backup":
		return backupKeys(ctx, c, c.args[1])
	case len(c.args) == 2 && c.args[0] == "restore":
		return restoreKeys(ctx, c, c.args[1])
	}
	return errors.New("keys: rotate, backup FILE or restore FILE is needed (see kanvas keys --help)")
}

func rotateKeys(ctx context.Context, c *call) error {
	if c.flag("prepare") != "true" {
		return runOp(ctx, c, "rotate-keys", nil)
	}
	files := jetstream.MasterFiles{Path: c.cfg.MasterKey}
	if _, err := files.Prepare(); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	_, err := fmt.Fprintf(c.stdout, "the next master key is in %s.next: copy it beside the master key of every node, then rotate\n", c.cfg.MasterKey)
	return err
}

// opRotateKeys rotates the master key.
func (n *node) opRotateKeys(ctx context.Context, _ []string, out io.Writer) error {
	var failed error
	rewrapped, err := n.keys.Rotate(ctx, n.masterFiles(), func(step string) {
		if _, err := fmt.Fprintln(out, step); err != nil {
			failed = err
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	n.logger.Info("master_key_rotated", "keys", rewrapped)
	_, err = fmt.Fprintf(out, "rotated: %d keys\n", rewrapped)
	return err
}

// opExportKeys hands out the keys of people, to the tool that seals them. It is reached by the control socket alone, which is the owner's.
func (n *node) opExportKeys(ctx context.Context, _ []string, out io.Writer) error {
	return n.keys.Export(ctx, func(k jetstream.Copied) error {
		b, err := json.Marshal(k)
		if err == nil {
			_, err = out.Write(append(b, '\n'))
		}
		return err
	})
}

func backupKeys(ctx context.Context, c *call, path string) error {
	to, err := keybackup.To(c.cfg.Passphrase, c.flag("recipient"))
	if err != nil {
		return fmt.Errorf("keys: %w (KANVAS_KEYS_PASSPHRASE, or --recipient)", err)
	}
	n, err := keybackup.WriteFile(path, to, func(add func(line any) error) error {
		return exportedKeys(ctx, c, func(k jetstream.Copied) error { return add(k) })
	})
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	_, err = fmt.Fprintf(c.stdout, "%d people are in %s\n", n, path)
	return err
}

// exportedKeys reads the keys line by line, from the server that holds the data directory or from here.
func exportedKeys(ctx context.Context, c *call, yield func(jetstream.Copied) error) error {
	r, w := io.Pipe()
	asked := *c
	asked.stdout = w
	done := make(chan error, 1)
	go func() {
		err := runOp(ctx, &asked, "export-keys", nil)
		done <- errors.Join(err, w.CloseWithError(err))
	}()
	err := func() error {
		sc := bufio.NewScanner(r)
		for sc.Scan() {
			var k jetstream.Copied
			if err := json.Unmarshal(sc.Bytes(), &k); err != nil {
				return err
			}
			if err := yield(k); err != nil {
				return err
			}
		}
		return sc.Err()
	}()
	_ = r.CloseWithError(err) // never fails; ends the writer where the reader gave up
	return errors.Join(<-done, err)
}

func restoreKeys(ctx context.Context, c *call, path string) error {
	with, err := keybackup.With(c.cfg.Passphrase, c.flag("identity"))
	if err != nil {
		return fmt.Errorf("keys: %w (KANVAS_KEYS_PASSPHRASE, or --identity)", err)
	}
	n, err := openNode(ctx, c.cfg, c.stderr)
	if err != nil {
		return err
	}
	return errors.Join(n.restoreKeys(ctx, path, with, c.stdout), n.close(context.WithoutCancel(ctx)))
}

// restoreKeys brings back the keys that are missing, and forgets whom the backup or the list says.
func (n *node) restoreKeys(ctx context.Context, path string, with []keybackup.Identity, out io.Writer) error {
	got := map[jetstream.Imported]int{}
	err := keybackup.ReadFile(path, with, func(b []byte) error {
		var k jetstream.Copied
		if err := json.Unmarshal(b, &k); err != nil {
			return err
		}
		if k.Key == nil && !n.list.Has(k.Person) {
			if err := n.list.Add(k.Person); err != nil {
				return err
			}
		}
		if k.Key == nil || n.list.Has(k.Person) {
			got[jetstream.KeyDestroyed]++
			return nil
		}
		what, err := n.keys.Import(ctx, k)
		got[what]++
		return err
	})
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	destroyed, err := n.destroyed(ctx)
	if err == nil {
		err = n.forget.Restored(ctx, destroyed)
	}
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	fmt.Fprintf(out, "%d keys restored, %d were there, %d people are forgotten\n", got[jetstream.KeyRestored], got[jetstream.KeySame], got[jetstream.KeyDestroyed])
	if n := got[jetstream.KeyOther]; n > 0 {
		return fmt.Errorf("keys: %d people have another key here than in the backup, which stays: what was sealed under the one of the backup can't be read", n)
	}
	return nil
}

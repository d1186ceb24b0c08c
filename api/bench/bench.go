package bench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// Result is one measured row.
type Result struct {
	Work   string // what was done
	Figure string // what Kanvas did
	Floor  string // what the floor did in the same run
	Must   string // what is asked
	OK     bool
}

// env is what a row runs in.
type env struct {
	dir      string // fresh for this row
	seconds  int
	drawings string // folder of .excalidrawlib files, or ""
	fill     Fill
	rebuild  Rebuild
}

// Fill writes a log of about events events below dir, perCommit in each commit, without fsync, as `kanvas serve` with the same dir would find it.
type Fill func(ctx context.Context, dir string, events, perCommit int) error

// Rebuild opens dir, rebuilds all projections and returns the number of events and the time taken.
type Rebuild func(ctx context.Context, dir string) (events int, took time.Duration, err error)

type row struct {
	name string
	run  func(context.Context, *env) ([]Result, error)
}

var rows = []row{
	{"ack", rowAck},
	{"parties-edits", rowPartiesEdits},
	{"cursors", rowCursors},
	{"flood-v1", rowFloodV1},
	{"flood-parties", rowFloodParties},
	{"rooms-v1", rowRoomsV1},
	{"rooms-parties", rowRoomsParties},
	{"join", rowJoin},
	{"start", rowStart},
	{"rebuild", rowRebuild},
	{"idle", rowIdle},
	{"slow", rowSlow},
	{"uploads", rowUploads},
	{"photographs", rowPhotographs},
}

// Main is `kanvas bench`: it runs the rows, prints a Markdown table to out and what goes on to errOut. With the argument
// "floor" it is the floor's server.
func Main(ctx context.Context, args []string, out, errOut io.Writer, fill Fill, rebuild Rebuild) error {
	if len(args) > 0 && args[0] == "floor" {
		return ServeFloor(ctx, "127.0.0.1:0", out)
	}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(errOut)
	run := fs.String("run", ".", "rows whose name matches this regular expression")
	seconds := fs.Int("seconds", 6, "length of each measured load, in seconds")
	dir := fs.String("dir", "", "directory on the disk to measure (default: a temporary one below the current directory)")
	drawings := fs.String("drawings", "../shared/data/drawings", "folder of .excalidrawlib drawings whose elements are used; made-up ones where it is missing")
	fs.Usage = func() {
		names := make([]string, len(rows))
		for i, r := range rows {
			names[i] = r.name
		}
		fmt.Fprintf(errOut, "kanvas bench: measures this program against a floor in the same run.\nRows: %s\n\n", strings.Join(names, " "))
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	re, err := regexp.Compile(*run)
	if err != nil {
		return fmt.Errorf("--run: %w", err)
	}
	base := *dir
	if base == "" {
		if base, err = os.MkdirTemp(".", ".bench-"); err != nil {
			return err
		}
		defer os.RemoveAll(base)
	}
	if err := pinLoad(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d cores, %s %s/%s\n\n| work | Kanvas | floor | must | |\n|---|---|---|---|---|\n", runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	var failed []error
	for _, r := range rows {
		if !re.MatchString(r.name) {
			continue
		}
		fmt.Fprintf(errOut, "%s …\n", r.name)
		e := &env{dir: filepath.Join(base, r.name), seconds: *seconds, drawings: *drawings, fill: fill, rebuild: rebuild}
		if err := os.MkdirAll(e.dir, 0o700); err != nil {
			return err
		}
		results, err := r.run(ctx, e)
		for _, x := range results {
			verdict := "ok"
			if !x.OK {
				verdict = "**short**"
			}
			fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", x.Work, x.Figure, x.Floor, x.Must, verdict)
		}
		if err != nil {
			fmt.Fprintf(errOut, "%s: %v\n", r.name, err)
			failed = append(failed, fmt.Errorf("%s: %w", r.name, err))
		}
		if err := os.RemoveAll(e.dir); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}

// serve starts Kanvas on a directory of the row.
func (e *env) serve(ctx context.Context, name string, extra ...string) (*process, error) {
	return e.serveOn(ctx, []int{0}, name, extra...)
}

// serveOn is serve on other cores.
func (e *env) serveOn(ctx context.Context, cores []int, name string, extra ...string) (*process, error) {
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(e.dir, name), "--log-level", "warn"}, extra...)
	return startOn(ctx, cores, []string{"KANVAS_RATE_LIMITS=off"}, args...)
}

func (e *env) floor(ctx context.Context) (*process, error) { return start(ctx, nil, "bench", "floor") }

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond)) }

package pictures

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/infinite-kanvas/kanvas/commands"
	"github.com/infinite-kanvas/kanvas/commands/media"
)

// What the two processes say to each other is lines of JSON; behind a request the picture follows, behind an answer the smaller ones.
type request struct {
	Size  int64 // bytes of the picture
	Found media.Found
	Sizes []int
}

type answer struct {
	Refused     string // why nothing was made
	Placeholder string
	Shrunk      []shrunk
}

type shrunk struct {
	Size, Width, Height int
	ContentType         string
	Bytes               int
}

// maxLine bounds a line in bytes.
const maxLine = 64 << 10

func send(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err == nil {
		_, err = w.Write(append(b, '\n'))
	}
	return err
}

func receive(r *bufio.Reader, v any) error {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return json.Unmarshal(line, v)
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		case len(line) > maxLine:
			return errors.New("the line does not end")
		}
	}
}

func (a *answer) bytes() (n int) {
	for _, s := range a.Shrunk {
		n += s.Bytes
	}
	return n
}

func (a *answer) list(data []byte) (list []commands.Shrunk) {
	for _, s := range a.Shrunk {
		list = append(list, commands.Shrunk{Size: s.Size, Width: s.Width, Height: s.Height, ContentType: s.ContentType, Data: data[:s.Bytes:s.Bytes]})
		data = data[s.Bytes:]
	}
	return list
}

// Memory of the process, in bytes: what Go tries to stay below, and what the system gives it.
const (
	heapGoal  = 320 << 20
	dataLimit = 768 << 20
)

// Serve is the process of a Worker: it makes smaller pictures of what comes in until nothing comes any more.
func Serve(in io.Reader, out io.Writer) error {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM) // the server says when it is over
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(heapGoal)
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: dataLimit, Max: dataLimit}); err != nil {
		return fmt.Errorf("limit memory: %w", err)
	}
	return serve(in, out)
}

func serve(in io.Reader, out io.Writer) error {
	r := bufio.NewReaderSize(in, 64<<10)
	for {
		var q request
		if err := receive(r, &q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		body := &io.LimitedReader{R: r, N: q.Size}
		a, list := shrink(body, &q)
		if _, err := io.Copy(io.Discard, body); err != nil {
			return fmt.Errorf("read picture: %w", err)
		}
		if err := send(out, a); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
		for _, s := range list {
			if _, err := out.Write(s.Data); err != nil {
				return fmt.Errorf("answer: %w", err)
			}
		}
	}
}

// shrink makes them. A decoder that panics has met a picture that it can't take.
func shrink(body io.Reader, q *request) (a answer, list []commands.Shrunk) {
	defer func() {
		if p := recover(); p != nil {
			a, list = answer{Refused: fmt.Sprintf("the decoder panicked: %v", p)}, nil
		}
	}()
	list, placeholder, err := Shrinker{}.Shrink(context.Background(), body, q.Size, &q.Found, q.Sizes)
	if err != nil {
		return answer{Refused: err.Error()}, nil
	}
	a.Placeholder = placeholder
	for _, s := range list {
		a.Shrunk = append(a.Shrunk, shrunk{s.Size, s.Width, s.Height, s.ContentType, len(s.Data)})
	}
	return a, list
}

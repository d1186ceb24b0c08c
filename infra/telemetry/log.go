// Package telemetry makes the logger: JSON lines with the fields of the user's guide
// (level, timestamp, event, roomId, userId, dataSize).
package telemetry

import (
	"context"
	"io"
	"log/slog"
	"strings"
)

// Logger writes one JSON object a line to w: level in lower case, timestamp in Unix milliseconds, the message as "event". Where a record names its
// event by an attribute, the message is "message": a name is there once.
func Logger(w io.Writer, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo // config has refused other words before
	}
	return slog.New(named{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) > 0 {
			return a
		}
		switch a.Key {
		case slog.LevelKey:
			return slog.String("level", strings.ToLower(a.Value.String()))
		case slog.TimeKey:
			return slog.Int64("timestamp", a.Value.Time().UnixMilli())
		case slog.MessageKey:
			return slog.String("event", a.Value.String())
		}
		return a
	}})})
}

// named makes the attribute "event" of a record its name.
type named struct{ slog.Handler }

func (h named) Handle(ctx context.Context, r slog.Record) error {
	event := ""
	rest := make([]slog.Attr, 0, r.NumAttrs()+1)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "event" {
			event = a.Value.String()
		} else {
			rest = append(rest, a)
		}
		return true
	})
	if event == "" {
		return h.Handler.Handle(ctx, r)
	}
	n := slog.NewRecord(r.Time, r.Level, event, r.PC)
	n.AddAttrs(append(rest, slog.String("message", r.Message))...)
	return h.Handler.Handle(ctx, n)
}

func (h named) WithAttrs(as []slog.Attr) slog.Handler { return named{h.Handler.WithAttrs(as)} }
func (h named) WithGroup(name string) slog.Handler    { return named{h.Handler.WithGroup(name)} }

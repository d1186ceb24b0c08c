// Package telemetry makes the logger: JSON lines with the fields of the user's guide
// (level, timestamp, event, roomId, userId, dataSize).
package telemetry

import (
	"io"
	"log/slog"
	"strings"
)

// Logger writes one JSON object a line to w: level in lower case, timestamp in Unix milliseconds, the message as "event".
func Logger(w io.Writer, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo // config has refused other words before
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
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
	}}))
}

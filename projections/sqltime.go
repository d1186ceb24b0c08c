package projections

import "time"

// SQLTime is a time as the tables hold it: `YYYY-MM-DD HH:MM:SS.SSS`, UTC.
const SQLTime = "2006-01-02 15:04:05.000"

// FormatTime writes Unix milliseconds as SQLTime.
func FormatTime(ms int64) string { return time.UnixMilli(ms).UTC().Format(SQLTime) }

// ParseTime reads SQLTime to Unix milliseconds; ok is false where s is none.
func ParseTime(s string) (ms int64, ok bool) {
	t, err := time.Parse(SQLTime, s)
	if err != nil {
		return 0, false
	}
	return t.UnixMilli(), true
}

package events

// SpendingRecordedData is the entry of one call that was paid for with the server's key at fal.ai, beside generations. An entry of the same id again
// takes its place. Money is in millionths of a US dollar.
type SpendingRecordedData struct {
	ID         string `json:"id"`
	User       string `json:"user,omitempty"` // who made it; "" for who is nobody
	Model      string `json:"model"`
	Estimate   int64  `json:"estimate"` // what was reserved for it
	Cost       int64  `json:"cost"`
	At         int64  `json:"at"`      // when it began, Unix ms
	Outcome    string `json:"outcome"` // done, refused or unknown
	DurationMS int64  `json:"duration_ms,omitempty"`
	Job        string `json:"job,omitempty"` // since version 2: the id of the job that it put in fal.ai's queue
}

package projections

// SpendingFilter says whose spending is summed up. From and To bound when it began, Unix milliseconds, To not among them; empty User and Room: all.
type SpendingFilter struct {
	User, Room string
	From, To   int64
}

// Sources of spending.
const (
	SourceCall       = "call"       // of /api/fal
	SourceGeneration = "generation" // in a room
)

// SpendingRow sums up what one person spent on one model. Money is in millionths of a US dollar.
type SpendingRow struct {
	Month  string // such as "2026-01"
	UserID string // "": somebody who is nobody
	Model  string
	Source string
	Count  int   // runs, whatever came of them
	Kept   int   // of generations whose result a room shows
	Cost   int64 // of what is over
}

// OpenGeneration is a generation of which it is not known yet what it cost.
type OpenGeneration struct {
	ID, UserID, RoomID, Model string
	Estimate                  int64 // millionths of a US dollar
	RequestedAt               int64 // Unix milliseconds
}

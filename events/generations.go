package events

// Payloads of generations, in the stream of their room. Money is in millionths of a US dollar. A generation goes
// requested → submitting → submitted → started → succeeded | failed | canceled, with unknown for one of which nobody can say whether it was taken.
type (
	// GenerationRequestedData: the event's actor asked, and pays.
	GenerationRequestedData struct {
		ID       string   `json:"id"`
		Model    string   `json:"model"`
		Request  Sealed   `json:"request"`            // JSON {"prompt","input"}, under the actor's key
		Result   string   `json:"result"`             // image or video
		Element  string   `json:"element_id"`         // what shows it: a placeholder added in the same commit, or an element that was there
		Added    bool     `json:"added,omitempty"`    // the element is the placeholder
		Assets   []string `json:"assets,omitempty"`   // what the input names of ours, as "asset:" and the id, sorted
		Estimate int64    `json:"estimate"`           // what is reserved for it
		RetryOf  string   `json:"retry_of,omitempty"` // id of the generation that this is another try of
	}
	// GenerationSubmittingData: it is about to be sent. From here on it may have been taken, whatever is heard.
	GenerationSubmittingData struct {
		ID      string `json:"id"`
		Attempt int    `json:"attempt"` // from 1
	}
	// GenerationUnsentData: surely nothing of the attempt was sent, so there may be another.
	GenerationUnsentData struct {
		ID      string `json:"id"`
		Attempt int    `json:"attempt"`
	}
	// GenerationSubmittedData: it was taken. The addresses are as the queue gave them.
	GenerationSubmittedData struct {
		ID          string `json:"id"`
		RequestID   string `json:"request_id"`
		StatusURL   string `json:"status_url"`
		ResponseURL string `json:"response_url"`
		CancelURL   string `json:"cancel_url"`
	}
	// GenerationStartedData: it waits no longer.
	GenerationStartedData struct {
		ID string `json:"id"`
	}
	// GenerationSucceededData: the assets, as "asset:" and the id, are stored before this event is. Kept: the room shows them.
	GenerationSucceededData struct {
		ID         string   `json:"id"`
		Assets     []string `json:"assets"`
		Seed       string   `json:"seed,omitempty"` // as the model said it
		Cost       int64    `json:"cost"`
		DurationMS int64    `json:"duration_ms"` // from the submission
		Kept       bool     `json:"kept"`
	}
	// GenerationFailedData: Detail quotes nobody; Said is what the other side said, which may quote the prompt, under the requester's key.
	GenerationFailedData struct {
		ID        string `json:"id"`
		Code      string `json:"code"`
		Detail    string `json:"detail"`
		Said      Sealed `json:"said,omitempty"`
		Retryable bool   `json:"retryable,omitempty"`
		Cost      int64  `json:"cost"`
	}
	// GenerationCanceledData: the actor wants it no more. What came of it all the same, and what it cost, is in GenerationSettledData; Open is false
	// where there is nothing to come.
	GenerationCanceledData struct {
		ID   string `json:"id"`
		Open bool   `json:"open,omitempty"`
	}
	// GenerationUnknownData: nobody can say whether it was taken. Cost is what it may have cost. A result that comes all the same is taken.
	GenerationUnknownData struct {
		ID   string `json:"id"`
		Cost int64  `json:"cost"`
	}
	// GenerationSettledData ends a canceled one: the room shows nothing of it.
	GenerationSettledData struct {
		ID         string   `json:"id"`
		Assets     []string `json:"assets,omitempty"`
		Seed       string   `json:"seed,omitempty"`
		Cost       int64    `json:"cost"`
		DurationMS int64    `json:"duration_ms"`
	}
)

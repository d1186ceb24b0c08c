package faltest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"
)

// Plan is what becomes of a job. The zero value is a job that waits one poll, runs one poll, and gives what its model gives.
type Plan struct {
	Position int            // in the queue while it waits
	Hold     bool           // it goes on only by Finish
	Polls    int            // how often its status is asked for before it is over; 0: 2
	Status   int            // of the result; 0: 200
	Header   http.Header    // of the result
	Output   any            // of the result; nil: by the model
	State    map[string]any // added to what the status says once it is over
	Forget   bool           // it is not known once it was taken
}

// Job is one that was put in the queue.
type Job struct {
	ID, Model, Webhook string
	Input              string
	Canceled           bool
	Polls, Results     int // how often its status and its result were asked for
}

type job struct {
	Job
	plan   Plan
	ended  bool
	status int // of its result, once that was made
	output any
}

// app is what the queue knows a model by.
func (j *job) app() string {
	parts := strings.SplitN(j.Model, "/", 3)
	return parts[0] + "/" + parts[1]
}

// Plan says what becomes of the jobs that are taken from now on; nil: the zero Plan.
func (s *Server) Plan(f func(model string, input json.RawMessage) Plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan = f
}

// Jobs are those that were taken, in order.
func (s *Server) Jobs() (list []Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.order {
		list = append(list, s.jobs[id].Job)
	}
	return list
}

// Finish ends a job that is held.
func (s *Server) Finish(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs[id].ended = true
}

func (s *Server) queue(w http.ResponseWriter, r *http.Request, path string, body []byte) {
	app, rest, follow := strings.Cut(path, "/requests/")
	if !follow {
		s.submit(w, r, path, body)
		return
	}
	id, what, _ := strings.Cut(rest, "/")
	s.mu.Lock()
	j := s.jobs[id]
	known := j != nil && j.app() == app && !j.plan.Forget
	s.mu.Unlock()
	if !known {
		answer(w, http.StatusNotFound, map[string]any{"detail": "Request not found"})
		return
	}
	switch {
	case what == "cancel" && r.Method == http.MethodPut:
		s.cancel(w, j)
	case what == "status":
		st := s.status(id, j)
		code := http.StatusAccepted
		if st["status"] == "COMPLETED" {
			code = http.StatusOK
		}
		answer(w, code, st)
	case what == "status/stream":
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			st := s.status(id, j)
			b, _ := json.Marshal(st)
			fmt.Fprintf(w, "data: %s\n\n", b)
			w.(http.Flusher).Flush()
			if st["status"] == "COMPLETED" {
				return
			}
		}
	default:
		s.give(w, j)
	}
}

func (s *Server) submit(w http.ResponseWriter, r *http.Request, path string, body []byte) {
	id := uuid.NewString()
	j := &job{Job: Job{ID: id, Model: path, Webhook: r.URL.Query().Get("fal_webhook"), Input: string(body)}}
	s.mu.Lock()
	if s.plan != nil {
		j.plan = s.plan(path, body)
	}
	s.jobs[id] = j
	s.order = append(s.order, id)
	s.mu.Unlock()
	at := "https://queue.fal.run/" + j.app() + "/requests/" + id
	answer(w, http.StatusOK, map[string]any{"status": "IN_QUEUE", "request_id": id, "gateway_request_id": id, "response_url": at, "status_url": at + "/status", "cancel_url": at + "/cancel", "queue_position": j.plan.Position})
}

// over says whether a job has come to its end. The caller holds mu.
func (j *job) over() bool {
	polls := j.plan.Polls
	if polls == 0 {
		polls = 2
	}
	return j.ended || !j.plan.Hold && j.Polls > polls
}

// status moves a job on each time it is asked.
func (s *Server) status(id string, j *job) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	j.Polls++
	st := map[string]any{"status": "COMPLETED", "request_id": id, "logs": []any{}}
	switch {
	case j.over():
		for k, v := range j.plan.State {
			st[k] = v
		}
	case j.Polls == 1 && j.plan.Polls != 1:
		st["status"], st["queue_position"] = "IN_QUEUE", j.plan.Position
	default:
		st["status"] = "IN_PROGRESS"
	}
	return st
}

func (s *Server) cancel(w http.ResponseWriter, j *job) {
	s.mu.Lock()
	over := j.over()
	if !over {
		j.Canceled, j.ended = true, true
		j.plan = Plan{Status: 499, Output: map[string]any{"detail": "Request was cancelled", "error_type": "client_cancelled"}}
	}
	s.mu.Unlock()
	if over {
		answer(w, http.StatusBadRequest, map[string]any{"status": "ALREADY_COMPLETED"})
		return
	}
	answer(w, http.StatusAccepted, map[string]any{"status": "CANCELLATION_REQUESTED"})
}

func (s *Server) give(w http.ResponseWriter, j *job) {
	s.mu.Lock()
	j.Results++
	over := j.over()
	s.mu.Unlock()
	if !over {
		answer(w, http.StatusBadRequest, map[string]any{"detail": "Request is still in progress"})
		return
	}
	for k, v := range j.plan.Header {
		w.Header()[k] = v
	}
	status, out := s.outcome(j)
	if status == http.StatusOK && w.Header().Get("X-Fal-Billable-Units") == "" {
		w.Header().Set("X-Fal-Billable-Units", "1")
	}
	answer(w, status, out)
}

// outcome is what a job gives in the end, the same each time.
func (s *Server) outcome(j *job) (int, any) {
	s.mu.Lock()
	plan, status, out := j.plan, j.status, j.output
	s.mu.Unlock()
	switch {
	case plan.Output != nil:
		return max(plan.Status, http.StatusOK), plan.Output
	case status != 0:
		return status, out
	}
	status, out = s.result(j.Model, []byte(j.Input))
	s.mu.Lock()
	defer s.mu.Unlock()
	j.status, j.output = status, out
	return status, out
}

// result is what a model gives, its files among the stand-in's.
func (s *Server) result(model string, body []byte) (int, any) {
	var input map[string]any
	if err := json.Unmarshal(body, &input); err != nil {
		return http.StatusUnprocessableEntity, invalid("", "value is not a valid dict")
	}
	prompt, _ := input["prompt"].(string)
	_, picture := input["image_url"]
	if prompt == "" && !strings.Contains(model, "background") {
		return http.StatusUnprocessableEntity, invalid("prompt", "field required")
	}
	switch {
	case strings.Contains(model, "background"):
		if !picture {
			return http.StatusUnprocessableEntity, invalid("image_url", "field required")
		}
		return http.StatusOK, map[string]any{"image": s.picture()}
	case strings.Contains(model, "evf-sam"):
		return http.StatusOK, map[string]any{"image": s.Keep("mask.png", "image/png", Mask(864, 288))}
	case strings.Contains(model, "video"), strings.Contains(model, "seedance"):
		return http.StatusOK, map[string]any{"video": s.Keep("pan.mp4", "video/mp4", Video), "seed": 1}
	}
	n, _ := input["num_images"].(float64)
	var images []any
	for range max(1, int(n)) {
		images = append(images, s.picture())
	}
	return http.StatusOK, map[string]any{"prompt": prompt, "images": images, "seed": 9007199254740993, "has_nsfw_concepts": make([]bool, len(images)), "timings": map[string]any{"inference": 1.5}}
}

func (s *Server) picture() map[string]any {
	f := s.Keep("out.jpg", "image/jpeg", Picture)
	f["width"], f["height"] = PictureWidth, PictureHeight
	return f
}

func invalid(field, msg string) any {
	return map[string]any{"detail": []any{map[string]any{"loc": []string{"body", field}, "msg": msg, "type": "value_error.missing"}}}
}

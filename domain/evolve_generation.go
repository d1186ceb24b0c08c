package domain

import (
	"fmt"
	"slices"

	"github.com/infinite-kanvas/kanvas/events"
)

// foldGeneration folds the events of generations; ok is false for others.
func (r *Room) foldGeneration(e *events.Event, rev uint64, at int64) (ok bool, err error) {
	switch d := e.Payload.(type) {
	case *events.GenerationRequestedData:
		return true, r.addGeneration(&Generation{ID: d.ID, User: e.Actor, Model: d.Model, Result: d.Result, ElementID: d.Element,
			Status: GenerationQueued, Revision: rev, Estimate: d.Estimate, RequestedAt: at})
	case *events.GenerationSubmittingData:
		return true, r.changeGeneration(d.ID, func(g *Generation) { g.Status, g.Attempt, g.SubmittingAt = GenerationSubmitting, d.Attempt, at })
	case *events.GenerationUnsentData:
		return true, r.changeGeneration(d.ID, func(g *Generation) { g.Status = GenerationQueued })
	case *events.GenerationSubmittedData:
		return true, r.changeGeneration(d.ID, func(g *Generation) {
			if g.Status != GenerationCanceled {
				g.Status = GenerationSubmitted
			}
			g.RequestID, g.StatusURL, g.ResponseURL, g.CancelURL, g.SubmittedAt = d.RequestID, d.StatusURL, d.ResponseURL, d.CancelURL, at
		})
	case *events.GenerationStartedData:
		return true, r.changeGeneration(d.ID, func(g *Generation) { g.Status = GenerationRunning })
	case *events.GenerationUnknownData:
		return true, r.changeGeneration(d.ID, func(g *Generation) { g.Status = GenerationUnknown })
	case *events.GenerationCanceledData:
		if d.Open {
			return true, r.changeGeneration(d.ID, func(g *Generation) { g.Status = GenerationCanceled })
		}
		return true, r.changeGeneration(d.ID, nil)
	case *events.GenerationSucceededData:
		return true, r.changeGeneration(d.ID, nil)
	case *events.GenerationFailedData:
		return true, r.changeGeneration(d.ID, nil)
	case *events.GenerationSettledData:
		return true, r.changeGeneration(d.ID, nil)
	}
	return false, nil
}

// addGeneration makes room for a new one by forgetting the oldest of too many unknown ones.
func (r *Room) addGeneration(g *Generation) error {
	if FindGeneration(r.generations, g.ID) != nil {
		return fmt.Errorf("the generation exists")
	}
	list := slices.Clone(r.generations)
	unknown := 0
	for _, old := range list {
		if !old.under() {
			unknown++
		}
	}
	if unknown >= MaxGenerations {
		i := slices.IndexFunc(list, func(old *Generation) bool { return !old.under() })
		list = slices.Delete(list, i, i+1)
	}
	r.putGenerations(append(list, g))
	return nil
}

// changeGeneration changes one, or takes it away where change is nil.
func (r *Room) changeGeneration(id string, change func(*Generation)) error {
	i := slices.IndexFunc(r.generations, func(g *Generation) bool { return g.ID == id })
	if i < 0 {
		return fmt.Errorf("no such generation")
	}
	list := slices.Clone(r.generations)
	if change == nil {
		r.putGenerations(slices.Delete(list, i, i+1))
		return nil
	}
	is := *list[i]
	change(&is)
	list[i] = &is
	r.putGenerations(list)
	return nil
}

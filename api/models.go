package api

import (
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/commands"
)

// Offer is what people are offered to have made. Both functions are pure.
type Offer struct {
	Models   func() []commands.OfferedModel
	Estimate func(model string, input json.RawMessage) int64 // what is reserved for a run, in millionths of a US dollar
}

type modelJSON struct {
	Model    string `json:"model"`
	Name     string `json:"name"`
	Does     string `json:"does"`
	Result   string `json:"result"`
	Takes    string `json:"takes,omitempty"`
	Prompt   bool   `json:"prompt"`
	Estimate int64  `json:"estimate"`
}

// listModels is GET /v1/models: what createGeneration may be asked for, in the order in which it is to be shown. Nothing where this server makes none.
func (a *API) listModels(c echo.Context) error {
	list := []modelJSON{}
	if a.cfg.Generations != nil && a.cfg.Offer.Models != nil {
		for _, m := range a.cfg.Offer.Models() {
			j := modelJSON{Model: m.Model, Name: m.Name, Does: m.Does, Result: m.Result, Takes: m.Takes, Prompt: !m.NoPrompt}
			if a.cfg.Offer.Estimate != nil {
				j.Estimate = a.cfg.Offer.Estimate(m.Model, json.RawMessage(`{}`))
			}
			list = append(list, j)
		}
	}
	return a.marshal(c, http.StatusOK, map[string]any{"models": list})
}

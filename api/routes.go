package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/infinite-kanvas/kanvas/api/auth"
)

// routes registers everything that is served. A test holds this list and the OpenAPI document against each other.
func (a *API) routes() {
	e := a.echo
	// People.
	e.POST("/v1/guests", a.createGuest, a.limit(rateGuests))
	e.GET("/v1/me", a.me, a.limit(rateReads))
	e.GET("/v1/me/spending", a.mySpending, a.limit(rateReads))
	e.POST("/v1/me/claim", a.claim, a.change, a.limit(rateChanges))
	e.POST("/api/clerk", a.clerk, a.change, a.limit(rateChanges))
	// Rooms.
	e.GET("/v1/rooms", a.listRooms, a.limit(rateReads))
	e.POST("/v1/rooms", a.createRoom, a.change, a.limit(rateRooms))
	e.GET("/v1/rooms/:id", a.getRoom, a.limit(rateReads))
	e.PATCH("/v1/rooms/:id", a.updateRoom, a.change, a.limit(rateChanges))
	e.DELETE("/v1/rooms/:id", a.deleteRoom, a.change, a.limit(rateChanges))
	e.POST("/v1/rooms/:id/transfer", a.transferRoom, a.change, a.limit(rateChanges))
	e.POST("/v1/rooms/:id/rotate-key", a.rotateKey, a.change, a.limit(rateChanges))
	e.POST("/v1/rooms/:id/tickets", a.createTicket, a.limit(rateTickets))
	e.GET("/v1/rooms/:id/canvas", a.canvas, a.limit(rateReads))
	e.GET("/v1/rooms/:id/events", a.events, a.limit(rateReads))
	e.POST("/v1/rooms/:id/commands", a.postCommands, a.change)
	e.GET("/v1/rooms/:id/participants", a.listParticipants, a.limit(rateReads))
	e.PUT("/v1/rooms/:id/participants/:user", a.setParticipant, a.change, a.limit(rateChanges))
	e.DELETE("/v1/rooms/:id/participants/:user", a.removeParticipant, a.change, a.limit(rateChanges))
	e.GET("/v1/rooms/:id/spending", a.roomSpending, a.limit(rateReads))
	e.POST("/v1/rooms/:id/invites", a.createInvite, a.change, a.limit(rateChanges))
	e.GET("/v1/rooms/:id/invites", a.listInvites, a.limit(rateReads))
	e.DELETE("/v1/rooms/:id/invites/:invite", a.revokeInvite, a.change, a.limit(rateChanges))
	e.POST("/v1/invites/:code", a.redeemInvite, a.change, a.limit(rateChanges))
	e.GET("/v1/rooms/:id/ws", a.socketV1)
	// Assets.
	a.getAndHead("/v1/assets/:id", a.asset, a.limit(rateAssets))
	e.POST("/v1/assets", a.createAsset, a.change, a.limit(rateUploads))
	e.GET("/v1/assets/:id/upload", a.resumeAsset, a.limit(rateReads))
	e.POST("/v1/assets/:id/complete", a.completeAsset, a.change, a.limit(rateChanges))
	e.DELETE("/v1/assets/:id", a.deleteAsset, a.change, a.limit(rateChanges))
	e.PUT("/v1/uploads/:id/:part", a.receivePart, a.change)
	e.GET("/v1/rooms/:id/assets", a.listRoomAssets, a.limit(rateReads))
	// Generations.
	e.GET("/v1/models", a.listModels, a.limit(rateReads))
	e.POST("/v1/rooms/:id/generations", a.createGeneration, a.change, a.limit(rateChanges))
	e.GET("/v1/rooms/:id/generations", a.listGenerations, a.limit(rateReads))
	e.GET("/v1/rooms/:id/generations/:gid", a.getGeneration, a.limit(rateReads))
	e.DELETE("/v1/rooms/:id/generations/:gid", a.cancelGeneration, a.change, a.limit(rateChanges))
	// fal.ai.
	e.Match([]string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}, falPath, a.fal, a.change)
	e.POST(auth.JobWebhookPath+"/:room/:generation", a.falWebhook, a.change)
	// Old clients.
	e.GET("/parties/:party/:room", a.socketParties)
	e.POST("/parties/:party/:room", a.bridge, a.change, a.limit(rateBridge))
	e.GET("/party/:room", a.socketParties)
	e.POST("/party/:room", a.bridge, a.change, a.limit(rateBridge))
	// Operation.
	a.getAndHead("/healthz", a.healthz)
	a.getAndHead("/readyz", a.readyz)
	e.GET("/metrics", a.serveMetrics)
	a.getAndHead("/openapi.json", a.openapi)
	// The page.
	a.getAndHead("/", a.index)
	a.getAndHead("/r/:room", a.index)
	a.getAndHead("/invite", a.index)
	for _, name := range a.page.names() {
		a.getAndHead("/"+name, a.file(name))
	}
}

func (a *API) getAndHead(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) {
	a.echo.Match([]string{http.MethodGet, http.MethodHead}, path, h, m...)
}

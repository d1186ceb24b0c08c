package commands

// What models do, in the words of the wire.
const (
	DoesTextToImage      = "text_to_image"
	DoesRestyle          = "restyle" // a picture by another one and a prompt
	DoesRemoveBackground = "remove_background"
	DoesIsolate          = "isolate" // the object that the prompt names
	DoesTextToVideo      = "text_to_video"
	DoesImageToVideo     = "image_to_video"
)

// OfferedModel is a model that people may choose.
type OfferedModel struct {
	Model    string // its name at the queue
	Name     string // for people
	Does     string // one of Does…
	Result   string // ResultImage or ResultVideo
	Takes    string // the member of the input for the picture or video that it works on; "" for none
	NoPrompt bool   // it takes none
}

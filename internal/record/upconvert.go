package record

// UpconvertOptions say what the batch that comes out of Upconvert looks like.
type UpconvertOptions struct {
	Codec Codec
	Level int
}

// Upconvert stub.
func Upconvert(messageSet []byte, o UpconvertOptions) (Batch, error) { panic("upconvert") }

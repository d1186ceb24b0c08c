package domain

func (r *Room) EncodeSnapshot() []byte       { return nil }
func DecodeSnapshot(b []byte) (*Room, error) { return nil, nil }
func (r *Room) Clone() *Room                 { return nil }

package jetstream_test

func play(role string) int { return 2 }

package cli

import "context"

func topicsCommand() Command {
	return Command{Name: "topics", Script: "kafka-topics", Summary: "Create, list, describe, change and delete topics.", Build: func(f *Flags) Action {
		return func(ctx context.Context, io IO) error { return nil }
	}}
}

package gregor_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"gregor"

	"github.com/twmb/franz-go/pkg/kgo"
)

func Example() {
	ctx := context.Background()
	b, err := gregor.Start(ctx, gregor.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()

	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.DefaultProduceTopic("greetings"),
		kgo.AllowAutoTopicCreation(), kgo.ConsumeTopics("greetings"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	if err := client.ProduceSync(ctx, kgo.StringRecord("hello, world")).FirstErr(); err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range client.PollFetches(ctx).Records() {
		fmt.Printf("%s: %s\n", r.Topic, r.Value)
	}
	// Output: greetings: hello, world
}

func TestBadSettingIsRefused(t *testing.T) {
	dir := t.TempDir()
	_, err := gregor.Start(t.Context(), gregor.Config{Dir: dir, Properties: map[string]string{"num.partitions": "none"}})
	if err == nil || !strings.Contains(err.Error(), "num.partitions") {
		t.Errorf("error: %v", err)
	}
	if files, _ := os.ReadDir(dir); len(files) > 0 {
		t.Errorf("a broker that was refused has written %v", files)
	}
}

func TestTemporaryDirectoryIsRemoved(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	b, err := gregor.Start(t.Context(), gregor.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if files, _ := os.ReadDir(os.TempDir()); len(files) != 1 {
		t.Fatalf("the temporary directory has %v", files)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if files, _ := os.ReadDir(os.TempDir()); len(files) != 0 {
		t.Errorf("Close leaves %v", files)
	}
}

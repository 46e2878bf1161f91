package interop

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gregor/test/server"
)

// TestJavaClients runs Apache Kafka's producer, consumer and admin client through java/Clients.java.
func TestJavaClients(t *testing.T) {
	t.Parallel()
	k := kafka(t)
	classes, err := k.Compile(t.Context(), filepath.Join("java", "Clients.java"))
	if err != nil {
		t.Fatal(err)
	}
	s := server.Start(t, server.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	out, err := k.Java(ctx, classes, "Clients", s.Addr).CombinedOutput()
	t.Logf("\n%s", out)
	if err != nil || !strings.Contains(string(out), "all clients agree") {
		t.Error("Apache Kafka's clients do not work as they should:", err)
	}
}

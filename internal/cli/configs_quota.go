package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// describedQuota is the quotas or SCRAM credentials of one user, client or address, and its form with --output json.
type describedQuota struct {
	Entity map[string]*string `json:"entity"` // null: the default
	Quotas map[string]float64 `json:"quotas,omitempty"`
	Scram  map[string]int32   `json:"scramIterations,omitempty"`

	title string
}

func (c *configsClient) describeQuotas(ctx context.Context, entities []configEntity, asJSON bool) error {
	var components []kadm.DescribeClientQuotaComponent
	for _, e := range entities {
		component := kadm.DescribeClientQuotaComponent{Type: quotaTypes[e.kind]}
		switch {
		case !e.hasName:
			component.MatchType = 2
		case e.name == "":
			component.MatchType = 1
		default:
			component.MatchName = &e.name
		}
		components = append(components, component)
	}
	quotas, err := c.DescribeClientQuotas(ctx, true, components)
	if err != nil {
		return unsupported(err, "quotas")
	}
	found := []describedQuota{}
	for _, q := range quotas {
		if len(q.Values) > 0 {
			found = append(found, quotaOf(q, entities))
		}
	}
	slices.SortFunc(found, func(a, b describedQuota) int { return strings.Compare(a.title, b.title) })
	if len(entities) == 1 && entities[0].kind == userEntities && (entities[0].name != "" || !entities[0].hasName) {
		credentials, err := c.describeScram(ctx, entities[0])
		if err != nil {
			return err
		}
		found = append(found, credentials...)
	}
	if asJSON {
		return PrintJSON(c.io.Out, found)
	}
	for _, q := range found {
		q.print(c.io)
	}
	return nil
}

var quotaTitles = map[string]string{"user": "user-principal", "client-id": "client-id", "ip": "ip"}

func quotaOf(q kadm.DescribedClientQuota, entities []configEntity) describedQuota {
	d := describedQuota{Entity: map[string]*string{}, Quotas: map[string]float64{}}
	var parts []string
	for _, e := range entities {
		for _, component := range q.Entity {
			if component.Type != quotaTypes[e.kind] {
				continue
			}
			d.Entity[component.Type] = component.Name
			if component.Name == nil {
				parts = append(parts, "the default "+quotaTitles[component.Type])
			} else {
				parts = append(parts, fmt.Sprintf("%s '%s'", quotaTitles[component.Type], *component.Name))
			}
		}
	}
	d.title = strings.Join(parts, ", ")
	for _, v := range q.Values {
		d.Quotas[v.Key] = v.Value
	}
	return d
}

func (q describedQuota) print(io IO) {
	var values []string
	if q.Scram != nil {
		for mechanism, iterations := range q.Scram {
			values = append(values, fmt.Sprintf("%s=iterations=%d", mechanism, iterations))
		}
		slices.Sort(values)
		fmt.Fprintf(io.Out, "SCRAM credential configs for %s are %s\n", q.title, strings.Join(values, ", "))
		return
	}
	for key, value := range q.Quotas {
		values = append(values, key+"="+javaFloat(value, 64))
	}
	slices.Sort(values)
	fmt.Fprintf(io.Out, "Quota configs for %s are %s\n", q.title, strings.Join(values, ", "))
}

func (c *configsClient) describeScram(ctx context.Context, e configEntity) ([]describedQuota, error) {
	var users []string
	if e.name != "" {
		users = append(users, e.name)
	}
	described, err := c.DescribeUserSCRAMs(ctx, users...)
	if err != nil {
		if tooOld(err) {
			return nil, nil
		}
		return nil, err
	}
	var found []describedQuota
	for _, user := range described.Sorted() {
		if errors.Is(user.Err, kerr.ResourceNotFound) {
			continue
		}
		if user.Err != nil {
			return nil, &brokerError{user.Err, &user.ErrMessage}
		}
		name := user.User
		d := describedQuota{Entity: map[string]*string{"user": &name}, Scram: map[string]int32{}, title: fmt.Sprintf("user-principal '%s'", name)}
		for _, credential := range user.CredInfos {
			d.Scram[credential.Mechanism.String()] = credential.Iterations
		}
		found = append(found, d)
	}
	return found, nil
}

package cli

import "testing"

func TestRecordSchemas(t *testing.T) {
	all := loadRecordSchemas()
	if len(all) < 50 {
		t.Fatalf("%d records", len(all))
	}
	v := all["ConsumerGroupMemberMetadataValue"].versions[0]
	f := v.fields[len(v.fields)-1]
	if f.name != "classicMemberMetadata" || f.tag != 0 || f.fallback != "{}" || !f.schema.nullable || f.schema.fields[1].schema.element.fields[1].schema.kind != "bytes" || !v.tagged {
		t.Errorf("%+v", f)
	}
	v = all["GroupMetadataValue"].versions[3]
	if v.tagged || v.fields[5].schema.compact || !v.fields[2].schema.nullable {
		t.Errorf("%+v", v)
	}
	v = all["ConsumerGroupCurrentMemberAssignmentValue"].versions[0].fields[3].schema
	if !v.compact || v.element.fields[2].fallback != "[]" || !v.element.fields[2].schema.nullable || !v.element.fields[2].schema.compact {
		t.Errorf("%+v", v.element.fields[2])
	}
}

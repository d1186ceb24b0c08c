package projections

import (
	"fmt"
	"regexp"
	"strings"
)

// What a Shadows runs on its tables, each list in one transaction. The same for every store that speaks SQLite's SQL.

// OpenShadowSQL makes empty shadow tables with the columns, keys and references (to each other) of the live ones, but no further indexes, as
// nothing reads them but by key. creates are the live tables' own CREATE TABLE statements, by name.
func OpenShadowSQL(projection string, creates map[string]string) ([]Statement, error) {
	list := DropShadowSQL(projection)
	for _, table := range TableNames() {
		create := tableRef.ReplaceAllString(creates[table], "${1} "+ShadowPrefix+"${2}")
		if create == "" {
			return nil, fmt.Errorf("projections: there is no table %s", table)
		}
		list = append(list, Statement{SQL: create})
	}
	return list, nil
}

// tableRef matches the places where CREATE TABLE names a table of ours.
var tableRef = regexp.MustCompile(`(?i)\b(CREATE TABLE|REFERENCES)\s+"?(` + strings.Join(TableNames(), "|") + `)"?\b`)

// DropShadowSQL removes them: children first, as DROP TABLE deletes rows and references are enforced.
func DropShadowSQL(projection string) []Statement {
	var list []Statement
	tables := TableNames()
	for i := len(tables) - 1; i >= 0; i-- {
		list = append(list, Statement{SQL: "DROP TABLE IF EXISTS " + ShadowPrefix + tables[i]})
	}
	for _, table := range []string{"projection_checkpoints", "parked"} {
		list = append(list, Statement{SQL: "DELETE FROM " + table + " WHERE projection = ?", Args: []any{projection + ShadowSuffix}})
	}
	return list
}

// SwapSQL puts the shadow's rows in the place of the live ones and drops the shadow. columns are the tables' columns by name.
func SwapSQL(projection, room string, columns map[string][]string) []Statement {
	if room == "" {
		return append(swapAllSQL(projection, columns), DropShadowSQL(projection)...)
	}
	return append(swapRoomSQL(projection, room, columns), DropShadowSQL(projection)...)
}

// swapAllSQL replaces all rows. A rename of the tables would drag their references along.
func swapAllSQL(projection string, columns map[string][]string) []Statement {
	var list []Statement
	tables := TableNames()
	for i := len(tables) - 1; i >= 0; i-- {
		list = append(list, Statement{SQL: "DELETE FROM " + tables[i]})
	}
	for _, table := range tables {
		names := strings.Join(columns[table], ", ")
		list = append(list, Statement{SQL: fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s%s ORDER BY %s", table, names, names,
			ShadowPrefix, table, strings.Join(KeyOf(table), ", "))})
	}
	for _, table := range []string{"projection_checkpoints", "parked"} {
		list = append(list, Statement{SQL: "DELETE FROM " + table + " WHERE projection = ?", Args: []any{projection}},
			Statement{SQL: "UPDATE " + table + " SET projection = ? WHERE projection = ?", Args: []any{projection, projection + ShadowSuffix}})
	}
	return list
}

// swapRoomSQL replaces the rows that one room's stream writes. Rows of others that only were referred to are there, or are added as stubs.
func swapRoomSQL(projection, room string, columns map[string][]string) []Statement {
	users := strings.Join(columns["users"], ", ")
	list := []Statement{{SQL: fmt.Sprintf("INSERT INTO users (%s) SELECT %s FROM %susers WHERE true ON CONFLICT (id) DO NOTHING", users, users, ShadowPrefix)}}
	list = append(list, swapRoomRowSQL(room, columns["rooms"])...)
	for _, table := range RoomTables() {
		names := strings.Join(columns[table], ", ")
		list = append(list, Statement{SQL: "DELETE FROM " + table + " WHERE room_id = ?", Args: []any{room}},
			Statement{SQL: fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s%s WHERE room_id = ?", table, names, names, ShadowPrefix, table), Args: []any{room}})
	}
	return append(list, Statement{SQL: "DELETE FROM parked WHERE projection = ? AND stream = ?", Args: []any{projection, "room/" + room}},
		Statement{SQL: "UPDATE parked SET projection = ? WHERE projection = ?", Args: []any{projection, projection + ShadowSuffix}})
}

// swapRoomRowSQL updates the row in place, as assets may refer to it. Where the room's stream gave none, the live row becomes a stub.
func swapRoomRowSQL(room string, columns []string) []Statement {
	var sets []string
	for _, c := range columns {
		if c != "id" {
			sets = append(sets, c+" = excluded."+c)
		}
	}
	names := strings.Join(columns, ", ")
	return []Statement{
		{SQL: "INSERT INTO " + ShadowPrefix + "rooms (id, name, is_public, created_at) VALUES (?, '', 0, NULL) ON CONFLICT (id) DO NOTHING", Args: []any{room}},
		{SQL: fmt.Sprintf("INSERT INTO rooms (%s) SELECT %s FROM %srooms WHERE id = ? ON CONFLICT (id) DO UPDATE SET %s",
			names, names, ShadowPrefix, strings.Join(sets, ", ")), Args: []any{room}},
	}
}

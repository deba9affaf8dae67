//! Rows whose columns are listed once; reading, inserting and updating follow from the list.

/// Declares the row of a table by its columns, visible in the parent module.
///
/// Updates write the columns after `changing`; other columns keep their inserted value unless a separate query changes them.
/// A table with `changing` columns has the columns `id` and `revision`.
#[macro_export]
macro_rules! row {
    ($(#[$meta:meta])* $row:ident in $table:literal { $($column:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub(super) struct $row {
            $(pub(super) $column: $type,)*
        }

        impl $row {
            /// Reads every column.
            pub(super) fn read(row: &sqlx::any::AnyRow) -> Result<Self, $crate::error::DatabaseError> {
                Ok(Self { $($column: sqlx::Row::try_get(row, stringify!($column))?,)* })
            }

            /// Inserts the row.
            pub(super) async fn insert(
                self,
                connection: &mut sqlx::AnyConnection,
            ) -> Result<(), $crate::error::DatabaseError> {
                static SQL: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
                    $crate::row::insert_statement($table, &[$(stringify!($column)),*])
                });
                sqlx::query(SQL.as_str())$(.bind(self.$column))*.execute(connection).await?;
                Ok(())
            }
        }
    };
    (
        $(#[$meta:meta])* $row:ident in $table:literal { $($fixed:ident: $fixed_type:ty,)* }
        changing { $($column:ident: $type:ty,)* }
    ) => {
        $crate::row! {
            $(#[$meta])* $row in $table { $($fixed: $fixed_type,)* $($column: $type,)* }
        }

        impl $row {
            /// Updates the row if it still has the revision that was read, and increments the revision.
            pub(super) async fn update(
                self,
                connection: &mut sqlx::AnyConnection,
            ) -> Result<(), $crate::error::DatabaseError> {
                static SQL: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
                    $crate::row::update_statement($table, &[$(stringify!($column)),*])
                });
                let query = sqlx::query(SQL.as_str()).bind(self.id).bind(self.revision);
                let row = query$(.bind(self.$column))*.fetch_optional(connection).await?;
                row.map(|_| ()).ok_or($crate::error::DatabaseError::Conflict)
            }
        }
    };
}

/// `INSERT` of all `columns`, as parameters from `$1` on.
#[must_use]
pub fn insert_statement(table: &str, columns: &[&str]) -> String {
    let parameters: Vec<_> = (1..=columns.len()).map(|number| format!("${number}")).collect();
    format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), parameters.join(", "))
}

/// `UPDATE` of `columns`, as parameters from `$3` on, where `$1` is `id` and `$2` is `revision`. It returns a row if one was
/// updated.
#[must_use]
pub fn update_statement(table: &str, columns: &[&str]) -> String {
    let set: Vec<_> =
        columns.iter().zip(3..).map(|(column, number)| format!("{column} = ${number}")).collect();
    format!(
        "UPDATE {table} SET revision = revision + 1, {} WHERE id = $1 AND revision = $2 RETURNING id",
        set.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_has_a_parameter_of_its_own() {
        assert_eq!(
            insert_statement("nodes", &["id", "name"]),
            "INSERT INTO nodes (id, name) VALUES ($1, $2)"
        );
        assert_eq!(
            update_statement("nodes", &["name", "tags"]),
            "UPDATE nodes SET revision = revision + 1, name = $3, tags = $4 \
             WHERE id = $1 AND revision = $2 RETURNING id"
        );
    }
}

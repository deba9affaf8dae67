//! Recovery codes: each opens one person's sessions on another machine.

use conversations::RecoveryCode;
use mesh_identity::Person;
use zeroize::Zeroizing;

use super::{OperationError, Sessions};
use crate::arena;

impl Sessions {
    /// Makes a person's recovery code, as text; the former one opens nothing any more.
    pub(crate) async fn recovery_code(
        &self,
        person: &Person,
    ) -> Result<Zeroizing<String>, OperationError> {
        let code = self.opened().await?.make_recovery_code(person).await?;
        Ok(arena::locked(|_| code.to_text()))
    }

    /// Opens a person's sessions, which another machine sealed.
    pub(crate) async fn recover(&self, person: &Person, code: &str) -> Result<(), OperationError> {
        let code = arena::locked(|_| code.parse::<RecoveryCode>())
            .map_err(|_| OperationError::NotACode)?;
        Ok(self.opened().await?.recover(person, &code).await?)
    }
}

package responses

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"time"
)

const accountID = "11111111-2222-4333-8444-555555555555"

// SignIn writes a made-up ChatGPT sign-in into a CODEX_HOME. codex does not verify its signature; there is none.
func SignIn(home string) error {
	token := accessToken()
	file, err := json.MarshalIndent(map[string]any{
		"auth_mode": "chatgpt",
		"tokens": map[string]string{
			"id_token": token, "access_token": token, "refresh_token": "rt_first", "account_id": accountID,
		},
		"last_refresh": time.Now().UTC().Format(time.RFC3339Nano),
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(home, "auth.json"), file, 0o600)
}

// accessToken is an unsigned token with the claims codex reads.
func accessToken() string {
	claims, _ := json.Marshal(map[string]any{
		"exp":   time.Now().Add(240 * time.Hour).Unix(),
		"email": "someone@example.test",
		"https://api.openai.com/auth": map[string]string{
			"chatgpt_account_id": accountID, "chatgpt_plan_type": "plus", "chatgpt_user_id": "user-1", "user_id": "user-1",
		},
	})
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + encode(claims) + "." + encode([]byte("unsigned"))
}

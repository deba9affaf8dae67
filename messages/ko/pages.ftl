# The pages that the coordinator, telmeet and the agent show to browsers; HTML.

# The button that shows the page in this language.
page-language = 한국어

page-join =
    <h1>사설 네트워크 참여</h1>
    <p>이 초대장은 기기 한 대를 위한 것입니다. 가진 사람은 누구나 참여할 수 있으니 다른 사람에게 보내지 마세요.</p>
    <noscript><p class="warning">이 페이지는 스크립트로 키를 보여 주는데 스크립트가 꺼져 있습니다. 키는 이 페이지 주소에서 마지막 점
    뒤의 부분이며 <code>marukey-</code>로 시작합니다.</p></noscript>
    <div class="broken" hidden><p class="warning">초대장이 온전하지 않습니다. 받은 링크 전체를 열거나 새 초대장을 요청하세요.</p></div>
    <div class="whole" hidden>
    <dl>
    <dt>주소</dt>
    <dd><code class="address">{ $address }</code> <button type="button" data-done="복사함">복사</button></dd>
    <dt>키</dt>
    <dd><code class="key"></code> <button type="button" data-done="복사함">복사</button></dd>
    </dl>
    <p>이 페이지의 내용은 브라우저에만 남아 있으며, 앱에 입력하기 전에는 키가 누구에게도 전송되지 않습니다.</p>
    </div>
    <h2>방법</h2>
    <details class="android"><summary>Android</summary>
    <ol>
    <li><a rel="noreferrer" href="https://play.google.com/store/apps/details?id=com.tailscale.ipn">Google Play</a>나
    <a rel="noreferrer" href="https://f-droid.org/packages/com.tailscale.ipn/">F-Droid</a>에서 Tailscale을 설치하고 실행하세요.</li>
    <li>오른쪽 위의 설정을 열고 <b>Accounts</b>, ⋮, <b>Use an alternate server</b>를 차례로 누른 뒤 주소를 붙여 넣으세요.</li>
    <li>짧은 코드가 적힌 페이지가 열리면 그곳에 키를 붙여 넣으세요. 열리지 않으면 ⋮의 <b>Use an auth key</b>에 키를 붙여
    넣으세요.</li>
    </ol></details>
    <details class="iphone"><summary>iPhone, iPad</summary>
    <ol>
    <li><a rel="noreferrer" href="https://apps.apple.com/app/tailscale/id1470499037">App Store</a>에서 Tailscale을 설치하고 실행하세요.
    이미 로그인되어 있으면 로그아웃하세요.</li>
    <li>오른쪽 위의 사람 모양, <b>Log in</b>, ⋯, <b>Use a custom coordination server</b>를 차례로 누르고 주소를 붙여 넣은 뒤
    <b>Log in</b>을 누르세요.</li>
    <li>짧은 코드가 적힌 페이지가 열리면 그곳에 키를 붙여 넣으세요.</li>
    </ol></details>
    <details class="macos"><summary>macOS</summary>
    <ol>
    <li><a rel="noreferrer" href="https://tailscale.com/download/mac">macOS용 Tailscale</a>을 설치하고 실행하세요.</li>
    <li>Option 키를 누른 채 메뉴 막대의 아이콘을 누르고 <b>Debug</b>, <b>Custom Login Server</b>, <b>Add Account…</b>를 차례로 고른
    뒤 주소를 붙여 넣으세요.</li>
    <li>짧은 코드가 적힌 페이지가 열리면 그곳에 키를 붙여 넣으세요.</li>
    </ol>
    <p>또는 터미널에서:</p>
    <pre>tailscale login --login-server <span class="address">{ $address }</span> --auth-key <span class="key">KEY</span></pre>
    <button type="button" data-done="복사함">복사</button></details>
    <details class="windows"><summary>Windows</summary>
    <ol>
    <li><a rel="noreferrer" href="https://tailscale.com/download/windows">Windows용 Tailscale</a>을 설치하세요.</li>
    <li>PowerShell을 열고 실행하세요.</li>
    </ol>
    <pre>tailscale login --login-server <span class="address">{ $address }</span> --auth-key <span class="key">KEY</span></pre>
    <button type="button" data-done="복사함">복사</button></details>
    <details class="linux"><summary>Linux</summary>
    <p>마루로 참여하면 <code>maru chat</code>이 질문을 AI까지 봉인해 보냅니다.</p>
    <pre>sudo maru join -</pre>
    <button type="button" data-done="복사함">복사</button>
    <p>그런 다음 초대장 전체를 붙여 넣으세요.</p>
    <pre class="invitation">이 페이지의 주소 전체</pre>
    <button type="button" data-done="복사함">복사</button>
    <p>마루가 없으면 Tailscale로 참여하세요.</p>
    <pre>sudo tailscale login --login-server <span class="address">{ $address }</span> --auth-key <span class="key">KEY</span></pre>
    <button type="button" data-done="복사함">복사</button></details>
    <p>관리자가 승인할 때까지 기다려야 할 수도 있으며, 승인되면 앱이 자동으로 연결됩니다.</p>

page-join-plain =
    <h1>Maru</h1>
    <p>이 네트워크의 초대장은 <code>maru://</code>로 시작하는 문자열입니다. 연결할 기기에 마루를 설치하고 다음을 실행하세요.</p>
    <pre>sudo maru join -</pre>
    <p>그런 다음 그곳에 초대장을 붙여 넣으세요. 초대장을 가진 사람은 누구나 참여할 수 있으니 다른 사람에게 보내지 마세요.</p>

page-waiting =
    <h1>이 기기는 승인을 기다리고 있습니다</h1>
    <p>코드:</p>
    <p class="code"><b>{ $code }</b></p>
    <p class="warning">연결할 기기에서, 또는 그 앱에서 이 페이지를 직접 연 경우에만 계속하세요. 다른 사람이 보낸 링크라면 그
    사람의 기기가 네트워크에 참여하게 됩니다.</p>
    <h2>초대장이 있으면</h2>
    <form method="post">
    <p><label>초대장이나 그 안의 키를 붙여 넣으세요.<br>
    <textarea name="invitation" rows="4" maxlength="2048" required autocomplete="off" autocapitalize="off" spellcheck="false"></textarea></label></p>
    <p><button>참여</button></p>
    </form>
    <h2>초대장이 없으면</h2>
    <p>네트워크 관리자에게 코드를 알려 주세요. 관리자는 다음 명령을 실행합니다.</p>
    <pre>sudo maru device approve { $code } --user NAME</pre>

page-waiting-plain =
    <h1>이 기기는 승인을 기다리고 있습니다</h1>
    <p>코드:</p>
    <p class="code"><b>{ $code }</b></p>
    <p>네트워크 관리자에게 코드를 알려 주세요. 관리자는 다음 명령을 실행합니다.</p>
    <pre>sudo maru device approve { $code } --user NAME</pre>
    <p>이 페이지는 다른 사람이 엿볼 수 있는 일반 HTTP로 왔으니 초대장을 입력하지 마세요.</p>

page-nobody =
    <h1>기다리는 기기가 없습니다</h1>
    <p>이미 승인되었거나, 거절되었거나, 대기 시간이 지났습니다. 기기를 확인하세요.</p>

page-joined =
    <h1>기기가 참여했습니다</h1>
    <p>앱으로 돌아가세요. 자동으로 연결됩니다.</p>

page-accepted =
    <h1>초대장을 확인했습니다</h1>
    <p>네트워크 관리자의 승인이 남아 있습니다. 관리자는 다음 명령을 실행합니다.</p>
    <pre>sudo maru device approve { $code }</pre>
    <p>그러면 앱이 자동으로 연결됩니다.</p>

page-refused =
    <h1>처리할 수 없습니다</h1>
    <p>여기서 기다리는 기기가 더 이상 없거나, 초대장이 온전하지 않거나, 이미 쓰였거나, 기한이 지났거나, 이 네트워크나 기기를 위한 것이 아닙니다. 기기를 확인하고 초대장 전체를 다시 복사하거나 관리자에게 새 초대장을 요청하세요.</p>

page-unread =
    <h1>초대장을 받지 못했습니다</h1>
    <p>보낸 내용이 너무 길거나 제때 끝까지 오지 않았습니다. 초대장만 복사해 다시 시도하세요.</p>

page-later =
    <h1>잠시 기다리세요</h1>
    <p>한꺼번에 너무 많이 시도했습니다. 1분 뒤에 다시 시도하세요.</p>

## telmeet: 메신저 로그인

page-sign-in =
    <h1>메신저에 로그인할까요?</h1>
    <p>한 앱이 이 기기(<code>{ $address }</code>)에서 <b>{ $person }</b>로 메시지를 읽고 쓰려고 합니다. 응답을 받을 곳:</p>
    <p><code>{ $target }</code></p>
    <p class="warning">방금 이 기기의 앱에서 로그인을 시작한 경우에만 계속하세요. 누군가 보내 준 링크라면 이 페이지를 닫으세요.</p>
    <form method="post" action="/sign-in/confirm">
    <input type="hidden" name="token" value="{ $token }">
    <p><button>로그인</button></p>
    </form>

page-sign-in-app =
    <h1>메신저에 로그인할까요?</h1>
    <p>이름을 <b>{ $app }</b>라고 밝힌 앱이 이 기기(<code>{ $address }</code>)에서 <b>{ $person }</b>로 메시지를 읽고 쓰려고 합니다.
    응답을 받을 곳:</p>
    <p><code>{ $target }</code></p>
    <p class="warning">방금 이 기기의 앱에서 로그인을 시작한 경우에만 계속하세요. 누군가 보내 준 링크라면 이 페이지를 닫으세요.</p>
    <form method="post" action="/sign-in/confirm">
    <input type="hidden" name="token" value="{ $token }">
    <p><button>로그인</button></p>
    </form>

page-sign-in-refused =
    <h1>이 링크로는 로그인할 수 없습니다</h1>
    <p>알 수 없는 앱이나 주소가 적혀 있습니다. 앱에서 로그인을 다시 시작하세요.</p>

page-sign-in-expired =
    <h1>처리할 수 없습니다</h1>
    <p>페이지를 너무 오래 열어 두었거나 버튼을 이미 눌렀습니다. 앱에서 다시 시작하세요.</p>

page-account =
    <h1>{ $person }의 앱</h1>
    <p>로그아웃한 앱은 바로 접근할 수 없게 되며, 그 앱만 복호화할 수 있던 내용도 잃습니다.</p>
    <form method="post" action="/sign-in/account">
    <input type="hidden" name="token" value="{ $token }">
    { $rows }
    <p><button>고른 앱 로그아웃</button></p>
    </form>

page-reset =
    <h1>앱으로 돌아가세요</h1>
    <p>이 네트워크는 확인을 요구하지 않습니다. 이제 앱에서 암호화를 재설정할 수 있습니다. 다른 기기가 복호화할 수 없는 메시지는 계속 읽을 수
    없습니다.</p>

## node-agent: trusting the network's certificate authority

page-trust =
    <h1>{ $network } 인증서 신뢰하기</h1>
    <p>이 기기가 네트워크의 인증 기관을 신뢰하면 브라우저와 메신저가 { $names } 주소를 경고 없이 엽니다. 이 인증 기관은
    <code>{ $network }</code>로 끝나는 이름만 보증할 수 있고, 다른 사이트는 보증할 수 없습니다.</p>
    <p><a href="{ $file }">인증서 내려받기</a></p>
    <p>시스템이 보여 주는 SHA-256 지문과 비교하세요: <code>{ $fingerprint }</code></p>
    <p>다른 기기에서 이 페이지를 여는 주소: <code>{ $address }</code></p>
    { $code }
    <details><summary>리눅스</summary><ol>
    <li><code>sudo maru trust</code>를 실행하세요. Chromium과 Firefox에도 적용됩니다.</li>
    </ol></details>
    <details><summary>안드로이드</summary><ol>
    <li>인증서를 내려받으세요.</li>
    <li>설정에서 <b>CA 인증서</b>를 검색해 누르고 <b>무시하고 설치</b>를 누른 다음 <code>maru.crt</code>를 고르세요.</li>
    <li>Element X는 이 인증서를 씁니다. FluffyChat은 쓰지 않으므로 <code>http://</code> 주소를 입력하세요.</li>
    </ol></details>
    <details><summary>iPhone, iPad</summary><ol>
    <li>Safari에서 이 페이지를 열고 인증서를 내려받아 허용하세요.</li>
    <li>설정 → <b>프로파일이 다운로드됨</b> → 설치.</li>
    <li>설정 → 일반 → 정보 → <b>인증서 신뢰 설정</b>에서 켜세요.</li>
    </ol></details>
    <details><summary>macOS</summary><ol>
    <li>인증서를 내려받아 열면 키체인 접근이 추가할 곳을 묻습니다. <b>시스템</b>을 고르세요.</li>
    <li>거기서 인증서를 열고 신뢰 → 이 인증서 사용 시: <b>항상 신뢰</b>를 고르세요.</li>
    </ol></details>
    <details><summary>Windows</summary><ol>
    <li>인증서를 내려받아 열고 <b>인증서 설치</b> → 로컬 컴퓨터를 고르세요.</li>
    <li><b>모든 인증서를 다음 저장소에 저장</b> → 신뢰할 수 있는 루트 인증 기관을 고르세요.</li>
    </ol></details>
    <details><summary>macOS와 Windows의 Firefox</summary><ol>
    <li>Firefox는 시스템의 인증서를 스스로 씁니다. 그렇지 않으면 설정 → 개인 정보 및 보안 → 인증서에서 <b>Firefox가 사용자가
    설치한 타사 루트 인증서를 자동으로 신뢰하도록 허용</b>을 켜세요.</li>
    </ol></details>
